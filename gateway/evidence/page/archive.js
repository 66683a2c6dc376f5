// A package as one ZIP file: canonical, stored without compression. Read, written again and compared: what differs is refused.

const FULL = 0xffffffff;
const DATE = 0x21;
const HEADER = 30;
const RECORD = 46;
const END = 22;
const END64 = 56;
const LOCATOR = 20;
const LARGEST_DIRECTORY = 64 << 20;

// Name → {blob, crc} of every file in the archive.
async function readArchive(blob) {
  const start = await directoryStart(blob);
  if (!(start >= 0 && start <= blob.size && blob.size - start <= LARGEST_DIRECTORY)) throw new Refused("no-archive");
  const directory = await bytesAt(blob, start, blob.size - start);
  const entries = entriesOf(directory);
  if (!sameBytes(writtenDirectory(entries, start), directory)) throw new Refused("no-archive");
  const files = new Map();
  let at = 0;
  for (const entry of entries) {
    const header = writtenHeader(entry);
    if (!sameBytes(await bytesAt(blob, at, header.length), header)) throw new Refused("no-archive");
    at += header.length;
    files.set(entry.name, { blob: blob.slice(at, at + entry.size), crc: entry.crc });
    at += entry.size;
  }
  if (at !== start) throw new Refused("no-archive");
  return files;
}

async function bytesAt(blob, at, length) {
  return new Uint8Array(await blob.slice(at, at + length).arrayBuffer());
}

async function directoryStart(blob) {
  if (blob.size < END) throw new Refused("no-archive");
  const start = viewOf(await bytesAt(blob, blob.size - END, END)).getUint32(16, true);
  if (start !== FULL) return start;
  if (blob.size < END + LOCATOR + END64) throw new Refused("no-archive");
  return Number(viewOf(await bytesAt(blob, blob.size - END - LOCATOR - END64, END64)).getBigUint64(48, true));
}

function entriesOf(directory) {
  const view = viewOf(directory);
  const found = [];
  try {
    for (let at = 0; view.getUint32(at, true) === 0x02014b50; ) {
      const named = view.getUint16(at + 28, true);
      const more = view.getUint16(at + 30, true);
      const name = new TextDecoder("latin1").decode(directory.subarray(at + RECORD, at + RECORD + named));
      const small = view.getUint32(at + 24, true);
      const size = small === FULL ? Number(view.getBigUint64(at + RECORD + named + 4, true)) : small;
      found.push({ name, size, crc: view.getUint32(at + 16, true) });
      at += RECORD + named + more;
    }
  } catch {
    throw new Refused("no-archive"); // it ends in the midst
  }
  const names = found.map(({ name }) => name);
  const folded = new Set(names.map(name => name.toLowerCase()));
  const sorted = names.every((name, i) => i === 0 || names[i - 1] < name);
  if (!sorted || folded.size !== names.length || !names.every(name => NAME.test(name))) throw new Refused("no-archive");
  return found;
}

function writtenHeader({ name, size, crc }) {
  const large = size >= FULL;
  const small = Math.min(size, FULL);
  return written([[4, 0x04034b50], [2, large ? 45 : 20], [2, 0], [2, 0], [2, 0], [2, DATE], [4, crc], [4, small], [4, small]],
    [[2, name.length], [2, large ? 20 : 0]], name, large ? [[2, 1], [2, 16], [8, size], [8, size]] : []);
}

function writtenRecord({ name, size, crc }, at) {
  const more = [...(size >= FULL ? [[8, size], [8, size]] : []), ...(at >= FULL ? [[8, at]] : [])];
  const extra = more.length ? [[2, 1], [2, 8 * more.length], ...more] : [];
  const version = more.length ? 45 : 20;
  const small = Math.min(size, FULL);
  return written([[4, 0x02014b50], [2, version], [2, version], [2, 0], [2, 0], [2, 0], [2, DATE], [4, crc], [4, small], [4, small]],
    [[2, name.length], [2, extra.length ? 4 + 8 * more.length : 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, Math.min(at, FULL)]], name, extra);
}

function writtenDirectory(entries, start) {
  const records = [];
  let at = 0;
  for (const entry of entries) {
    records.push(writtenRecord(entry, at));
    at += writtenHeader(entry).length + entry.size;
  }
  const length = records.reduce((sum, record) => sum + record.length, 0);
  const count = entries.length;
  const few = Math.min(count, 0xffff);
  const large = start >= FULL || length >= FULL || count >= 0xffff;
  const end64 = [[4, 0x06064b50], [8, END64 - 12], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, length], [8, start],
    [4, 0x07064b50], [4, 0], [8, start + length], [4, 1]];
  const end = [[4, 0x06054b50], [2, 0], [2, 0], [2, few], [2, few], [4, Math.min(length, FULL)], [4, Math.min(start, FULL)], [2, 0]];
  return joined([...records, written([...(large ? end64 : []), ...end], [], "", [])]);
}

// Little-endian fields, each [bytes, value], with a name before the last ones.
function written(fixed, more, name, extra) {
  const fields = [...fixed, ...more];
  const pieces = [fieldBytes(fields), new TextEncoder().encode(name), fieldBytes(extra)];
  return joined(pieces);
}

function fieldBytes(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [length]) => sum + length, 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const [length, value] of fields) {
    if (length === 2) view.setUint16(at, value, true);
    else if (length === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += length;
  }
  return bytes;
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const viewOf = bytes => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const sameBytes = (one, other) => one.length === other.length && one.every((byte, i) => byte === other[i]);
