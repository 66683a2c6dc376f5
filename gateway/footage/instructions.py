"""How anybody checks an evidence package with what Linux and Windows bring along: the commands, and VERIFY.txt, in Chinese and English."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.evidence.contents import (
    CERTIFICATE,
    MANIFEST,
    MANIFEST_SIGNATURE,
    PAGE,
    PROOF,
    SHEET,
    SM_KEY,
    SM_SUMS,
    SM_SUMS_SIGNATURE,
    SUMS,
    SUMS_SIGNATURE,
)
from gateway.evidence.sm2 import SIGNER_ID

_KEY: Final = f"openssl x509 -in {CERTIFICATE} -noout -pubkey"
_SHOWN: Final = f"openssl x509 -in {CERTIFICATE} -noout -fingerprint -sha256"
LINUX: Final = (
    f"{_KEY} | openssl dgst -sha256 -verify /dev/stdin -signature {SUMS_SIGNATURE} {SUMS}",
    f"{_KEY} | openssl dgst -sha256 -verify /dev/stdin -signature {MANIFEST_SIGNATURE} {MANIFEST}",
    f"sha256sum --strict -c {SUMS}",
    f"! {{ cut -c 67- {SUMS}; echo {SUMS}; echo {SUMS_SIGNATURE}; ls -Aq --file-type; }} | LC_ALL=C sort | LC_ALL=C uniq -u | grep .",
    _SHOWN,
)
"""The commands as they are printed: every one has to end well, and the last one's answer is compared by eye."""
SECOND: Final = (
    f"openssl dgst -sm3 -verify {SM_KEY} -sigopt distid:{SIGNER_ID.decode()} -signature {SM_SUMS_SIGNATURE} {SM_SUMS}",
    f"cksum -a sm3 --strict -c {SM_SUMS}",
)
"""The same for the second signature, with openssl 3 and the coreutils from 9.0 on."""
WINDOWS_OPENSSL: Final = (
    f"{_KEY} > %TEMP%\\evidence-key.pem",
    f"openssl dgst -sha256 -verify %TEMP%\\evidence-key.pem -signature {SUMS_SIGNATURE} {SUMS}",
    f"openssl dgst -sha256 -verify %TEMP%\\evidence-key.pem -signature {MANIFEST_SIGNATURE} {MANIFEST}",
    _SHOWN,
)
"""The same for Windows' Command Prompt, where openssl was installed. The key lies outside: the package would hold a file too many."""


def certutil(footage: Sequence[str]) -> Iterator[str]:
    """A command of Windows' own for every file that `SUMS` lists."""
    named = (*sorted(footage), *(name for name in PROOF if name not in (SUMS, SUMS_SIGNATURE)))
    return (f"certutil -hashfile {name} SHA256" for name in named)


def spaced(fingerprint: str) -> str:
    """A fingerprint as openssl writes it."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()


def instructions(footage: Sequence[str], fingerprint: str, *, second: bool = False) -> bytes:
    """The text for a package with these files of footage, with `second` for one that is signed by SM2, too.

    UTF-8 with a mark and CRLF, so that every editor of Windows shows it.
    """
    lines = [
        "证据包校验说明 / How to verify this evidence package",
        "",
        *_browser(),
        *_linux(),
        *_windows(footage),
        *_origin(fingerprint),
        *_offline(),
        *(_second() if second else ()),
    ]
    return "\r\n".join(lines).encode("utf-8-sig")


def _browser() -> list[str]:
    return [
        "一、浏览器 / A browser (Windows, Linux)",
        "",
        f"    {PAGE}",
        "",
        "用 Chrome、Edge 或 Firefox 打开（无需联网），选择本文件夹。签名、完整性和多出的文件都会核对。",
        "Open it with Chrome, Edge or Firefox (no network needed) and choose this folder: signatures, digests and added files are checked.",
        "严格核验时请使用另行取得的同一页面。 / For a strict check use a copy of that page that came by another way.",
        "",
    ]


def _linux() -> list[str]:
    return [
        "二、Linux (openssl, sha256sum)",
        "",
        "请在本文件夹内逐条执行。 / Run these in this folder.",
        "",
        *(f"    {command}" for command in LINUX),
        "",
        "前两条须显示 Verified OK，第三条每个文件均须为 OK 或“成功”，第四条须无任何显示（有显示即为多出的文件）。",
        "The first two must say Verified OK, the third OK for every file, the fourth nothing at all: what it names was added.",
        "",
    ]


def _windows(footage: Sequence[str]) -> list[str]:
    return [
        "三、Windows (命令提示符 / Command Prompt: certutil)",
        "",
        *(f"    {command}" for command in certutil(footage)),
        "",
        f"每条结果须与 {SUMS} 中同名文件一行的值相同（可用记事本打开）。",
        f"Each result must be the value that stands before the same name in {SUMS} (open it with Notepad).",
        f"certutil 不核对签名：请用 {PAGE}，或安装 openssl 后执行：",
        f"certutil does not check signatures: use {PAGE}, or install openssl and run:",
        "",
        *(f"    {command}" for command in WINDOWS_OPENSSL),
        "",
    ]


def _origin(fingerprint: str) -> list[str]:
    return [
        "四、证书指纹 / The certificate's fingerprint (SHA-256)",
        "",
        f"    {spaced(fingerprint)}",
        "",
        f"须与网关管理单位以其他途径（签字的登记表 {SHEET}、电话）告知的指纹一致；仅与本文件一致不能证明来源。",
        f"Compare it with the one that the gateway's operator gives by another way (the signed custody sheet {SHEET}, by telephone);",
        "that it is the one in this file proves nothing about the origin.",
        "",
    ]


def _offline() -> list[str]:
    return [
        "五、离线工具 / Offline tool",
        "",
        "    gatewayctl footage verify .",
        "",
        "它也会发现多出的文件。 / It finds files that were added, too.",
        "",
    ]


def _second() -> list[str]:
    return [
        "六、国密签名 SM2/SM3 / The second signature (openssl 3, coreutils 9)",
        "",
        *(f"    {command}" for command in SECOND),
        "",
        "第一条须显示 Verified OK，第二条每个文件均须为 OK。 / The first must say Verified OK, the second OK for every file.",
        "",
    ]
