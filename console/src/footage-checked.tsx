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

/** Of a hold's files, of which there are many: each that is damaged, and of the others since when all were read again. */
export function CheckedFiles({ checks }: { checks: readonly Check[] }) {
  const whole = checks.filter((each) => each.found === "").map((each) => each.checked_at);
  return (
    <>
      {checks.map((each) => each.found !== "" && (
        <p key={each.name} class="wrong checked" data-checked={each.name}>
          <code>{each.name}</code> {outcome(each)}
        </p>
      ))}
      {whole.length > 0 && <p class="dim checked">{t("footage.checked.files", { n: whole.length, at: exact(whole.reduce((a, b) => (a < b ? a : b))) })}</p>}
    </>
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
