// JSON as it was signed: a key that stands twice, which JSON.parse would take the last of, is an error (RFC 8259, section 4).
// Whole numbers become numbers, all others Fractions, which nothing takes for a size.

class Fraction {
  constructor(text) {
    this.text = text;
  }
}

const DEEPEST = 64;

function strictJson(text) {
  const token = /[\x20\t\n\r]*(?:([{}[\],:])|("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?|(true|false|null))/y;
  let found;

  function step() {
    found = token.exec(text);
    if (!found) throw new Refused("no-json");
  }

  function value(depth) {
    if (depth > DEEPEST) throw new Refused("no-json");
    if (found[1] === "{") return object(depth);
    if (found[1] === "[") return list(depth);
    if (found[2] !== undefined) return JSON.parse(found[2]);
    if (found[3] !== undefined) return found[4] || found[5] ? new Fraction(found[0].trim()) : Number(found[3]);
    if (found[6] !== undefined) return JSON.parse(found[6]);
    throw new Refused("no-json");
  }

  function object(depth) {
    const made = new Map();
    for (step(); found[1] !== "}"; ) {
      if (found[2] === undefined) throw new Refused("no-json");
      const key = JSON.parse(found[2]);
      if (made.has(key)) throw new Refused("no-json");
      step();
      if (found[1] !== ":") throw new Refused("no-json");
      step();
      made.set(key, value(depth + 1));
      step();
      if (!more("}")) break;
      if (found[1] === "}") throw new Refused("no-json");
    }
    return made;
  }

  function list(depth) {
    const made = [];
    for (step(); found[1] !== "]"; ) {
      made.push(value(depth + 1));
      step();
      if (!more("]")) break;
      if (found[1] === "]") throw new Refused("no-json");
    }
    return made;
  }

  // After an element: a comma, behind which the next one begins, or the end.
  function more(end) {
    if (found[1] === end) return false;
    if (found[1] !== ",") throw new Refused("no-json");
    step();
    return true;
  }

  step();
  const whole = value(0);
  if (/[^\x20\t\n\r]/.test(text.slice(token.lastIndex))) throw new Refused("no-json");
  return whole;
}
