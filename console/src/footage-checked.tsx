// When something that is stored was read again by itself the last time, and what came of it.
import type { Check, Dossier } from "./footage";
import { exact, t, worded } from "./i18n";

/** The proof of a package is checked as one, and goes by the name of its list. */
export const PROOF = "SHA256SUMS";

export function Checked({ one, of }: { one: Pick<Dossier, "checks">; of: string }) {
  const check = one.checks.find((each) => each.name === of);
  if (check === undefined) return null;
  return (
    <span class={check.found === "" ? "dim checked" : "wrong checked"} data-checked={of}>
      {outcome(check)}
    </span>
  );
}

function outcome({ checked_at, found }: Check): string {
  const at = exact(checked_at);
  return found === "" ? t("footage.checked", { at }) : t("footage.checked.damaged", { at, found: damage(found) });
}

/** What is wrong with something stored, in the reader's language where it has words for it; behind a colon stands what the system said. */
export function damage(found: string): string {
  const colon = found.indexOf(": ");
  return colon < 0 ? worded("footage.found", found) : worded("footage.found", found.slice(0, colon)) + found.slice(colon);
}
