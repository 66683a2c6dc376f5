// The certificate (RFC 5280) and the signatures (RFC 3279, section 2.2.3), in the one form in which the gateway writes them.

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n; // of the points of P-256
const ECDSA_SHA256 = "300a06082a8648ce3d040302";
const P256 = { name: "ECDSA", namedCurve: "P-256" };

const hexOf = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = hex => Uint8Array.from(hex.match(/../g) ?? [], pair => parseInt(pair, 16));
const digestOf = async bytes => hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));

// One element of DER at `at`: its tag, its content, all of it, and where the next begins. Lengths in the shortest form alone.
function element(bytes, at = 0) {
  const short = bytes[at + 1];
  const extra = short < 0x80 ? 0 : short - 0x80;
  let length = extra ? 0 : short;
  for (let i = 0; i < extra; i++) length = length * 256 + bytes[at + 2 + i];
  const begin = at + 2 + extra;
  const shortest = extra === 0 || (extra <= 3 && length >= 128 && length >= 256 ** (extra - 1));
  if (!(shortest && begin + length <= bytes.length)) throw new Refused("no-certificate");
  return { tag: bytes[at], content: bytes.subarray(begin, begin + length), all: bytes.subarray(at, begin + length), next: begin + length };
}

function elements(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; at = found[found.length - 1].next) found.push(element(bytes, at));
  return found;
}

// r and s as WebCrypto takes them, 32 bytes each; undefined when the signature is not written as the gateway writes it.
function rawSignature(der) {
  try {
    const outer = element(der);
    const numbers = elements(outer.content);
    const whole = outer.tag === 0x30 && outer.next === der.length && numbers.length === 2;
    if (!whole || !numbers.every(({ tag, content }) => tag === 2 && positive(content))) return undefined;
    const raw = numbers.map(({ content }) => hexOf(content).padStart(64, "0").slice(-64));
    return bytesOf(raw.join(""));
  } catch {
    return undefined;
  }
}

// A DER integer from 1 on, of at most 32 bytes, in its shortest form.
function positive(content) {
  if (!content.length || content[0] & 0x80 || (content[0] === 0 && !(content[1] & 0x80))) return false;
  return content.length <= 32 || (content.length === 33 && content[0] === 0);
}

async function fits(key, der, data) {
  const raw = rawSignature(der);
  return raw !== undefined && (await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, data));
}

// Of s and ORDER - s, which fit alike, the gateway writes the lower one.
function lower(der) {
  const raw = rawSignature(der);
  return raw !== undefined && BigInt("0x" + hexOf(raw.subarray(32))) <= ORDER / 2n;
}

// {key, fingerprint} of a certificate that its own key signed.
async function readCertificate(pem) {
  const der = derOf(pem);
  const [body, algorithm, signature] = elements(element(der).content);
  if (!signature || element(der).next !== der.length || hexOf(algorithm.all) !== ECDSA_SHA256) throw new Refused("no-certificate");
  const fields = elements(body.content);
  const [, , , issuer, , subject, publicKey] = fields[0].tag === 0xa0 ? fields : [undefined, ...fields];
  const key = await keyOf(publicKey);
  const own = hexOf(issuer.all) === hexOf(subject.all) && signature.tag === 3 && signature.content[0] === 0;
  if (!own || !(await fits(key, signature.content.subarray(1), body.all))) throw new Refused("no-certificate");
  return { key, fingerprint: await digestOf(der) };
}

async function keyOf(publicKey) {
  try {
    return await crypto.subtle.importKey("spki", publicKey.all, P256, false, ["verify"]);
  } catch {
    throw new Refused("no-key");
  }
}

function derOf(pem) {
  const text = new TextDecoder("latin1").decode(pem);
  const lines = text.split("\n");
  let der;
  try {
    der = Uint8Array.from(atob(lines.slice(1, -2).join("")), letter => letter.charCodeAt(0));
  } catch {
    throw new Refused("no-certificate");
  }
  const written = btoa(String.fromCharCode(...der)).match(/.{1,64}/g) ?? [];
  const again = ["-----BEGIN CERTIFICATE-----", ...written, "-----END CERTIFICATE-----", ""].join("\n");
  if (!der.length || again !== text) throw new Refused("no-certificate");
  return der;
}
