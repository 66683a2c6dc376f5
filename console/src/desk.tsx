// The duty desk: what is wrong as one thing, the open first; beside it one incident in full, and what can be done about it.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Answer, history, why } from "./api";
import type { City } from "./city";
import { act, maintain, meant, order, SPANS, tomorrow } from "./deeds";
import { did, headline, language, lasted, reason, t, when, who, type Key } from "./i18n";
import type { Desk, Entry, Incident, Member, Shelf } from "./incidents";
import { tick } from "./keys";
import { Alarm, Mark } from "./marks";
import { looked, mayAct, opened, search, shelf, ticked, view } from "./session";
import { stateOf } from "./states";

const SHELVES: readonly Shelf[] = ["live", "open", "acknowledged", "resolved"];
const ROWS = 200;
const FEW = 8; // members shown before the reader asks for more

export function DutyDesk({ city, desk }: { city: City; desk: Desk }) {
  const list = useComputed(() => desk.shown(shelf.value, search.value));
  const chosen = useComputed(() => (looked.value === null ? undefined : desk.incidents.value.get(looked.value)));
  return (
    <>
      <section class="desk">
        <nav class="shelves">
          {SHELVES.map((name) => (
            <button key={name} aria-pressed={shelf.value === name} onClick={() => (shelf.value = name)}>
              {t(`shelf.${name}`)} <b>{count(desk, name)}</b>
            </button>
          ))}
          {ticked.value.size > 0 && (
            <span class="bulk">
              {t("ticked", { n: ticked.value.size })} <button onClick={() => (ticked.value = new Set())}>{t("untick")}</button>
            </span>
          )}
          <span class="hint keys">{t("keys")}</span>
        </nav>
        {list.value.length === 0 ? (
          <p class="notice small">{t(shelf.value === "resolved" ? "incidents.none" : "incidents.quiet")}</p>
        ) : (
          <ol class="incidents">
            {list.value.slice(0, ROWS).map((one) => (
              <Row key={one.id} incident={one} />
            ))}
          </ol>
        )}
      </section>
      <aside class="wide">
        {ticked.value.size > 0 && mayAct.value && <Deeds desk={desk} incident={chosen.value} />}
        {chosen.value ? <Whole city={city} desk={desk} incident={chosen.value} /> : ticked.value.size === 0 && <p class="hint">{t("incidents.choose")}</p>}
      </aside>
    </>
  );
}

function count(desk: Desk, name: Shelf): number {
  return [...desk.incidents.value.values()].filter((one) => (name === "live" ? one.state !== "resolved" : one.state === name)).length;
}

function Row({ incident }: { incident: Incident }) {
  const one = incident;
  return (
    <li class={`incident ${one.severity} ${one.state}`} aria-current={looked.value === one.id} onClick={() => (looked.value = one.id)}>
      {mayAct.value && (
        <input type="checkbox" checked={ticked.value.has(one.id)} aria-label={t("tick")} onClick={(event) => event.stopPropagation()} onChange={() => tick(one.id)} />
      )}
      <Alarm severity={one.severity} />
      <div class="what">
        <b>{headline(one)}</b>
        <span class="dim">
          <span class={`severity ${one.severity}`}>{t(`severity.${one.severity}`)}</span> <Affected incident={one} />
          {one.districts.length > 0 && <> · {one.districts.slice(0, 3).join("、")}</>}
        </span>
      </div>
      <div class="who">
        <Stand incident={one} />
        <time title={when(one.opened_at)}>{one.state === "resolved" ? when(one.resolved_at) : lasted(one.opened_at)}</time>
      </div>
    </li>
  );
}

/** How many devices of each kind, and how many cameras are blind because of it. */
function Affected({ incident }: { incident: Incident }) {
  const kinds = Object.entries(incident.kinds).map(([kind, n]) => t(`n.${kind}` as Key, { n }));
  const blind = incident.trouble === "down" ? (incident.kinds["camera"] ?? 0) : 0;
  return (
    <>
      {kinds.join(language.value === "zh" ? "、" : ", ")}
      {blind > 0 && incident.state !== "resolved" && <em> · {t("blind", { n: blind })}</em>}
    </>
  );
}

function Stand({ incident: one }: { incident: Incident }) {
  const snoozed = one.snoozed_until !== null && Date.parse(one.snoozed_until) > Date.now();
  return (
    <span class="chips">
      {one.escalation_level > 0 && one.state === "open" && <span class="chip hot">{t("escalated", { n: one.escalation_level })}</span>}
      {snoozed && <span class="chip">{t("snoozed", { at: when(one.snoozed_until) })}</span>}
      {one.assignee !== "" && <span class="chip">→ {one.assignee}</span>}
      <span class={`chip ${one.state}`}>
        {one.state === "acknowledged" ? `✓ ${who(one.acknowledged_by, one.acknowledger)}` : t(`stage.${one.state}`)}
      </span>
    </span>
  );
}

// -- one incident in full ---------------------------------------------------------------------------------------------

function Whole({ city, desk, incident: one }: { city: City; desk: Desk; incident: Incident }) {
  return (
    <>
      <article class={`card whole ${one.severity}`}>
        <h2>
          <Alarm severity={one.severity} /> {headline(one)}
        </h2>
        <p class="where">
          <code>{one.id}</code> · {t(`severity.${one.severity}`)} · {t("since")} {when(one.opened_at)} ({lasted(one.opened_at, one.resolved_at)})
          {one.cause.kind === "common" && <> · {t("suspected")}</>}
        </p>
        <Stand incident={one} />
        {mayAct.value && ticked.value.size === 0 && <Deeds desk={desk} incident={one} />}
      </article>
      <Members city={city} desk={desk} incident={one} />
      <History incident={one} />
      <Told incident={one} />
    </>
  );
}

function Deeds({ desk, incident }: { desk: Desk; incident: Incident | undefined }) {
  const comment = useSignal("");
  const assignee = useSignal("");
  const many = ticked.value.size > 0;
  const state = many ? "open" : (incident?.state ?? "open");
  const go = (what: Parameters<typeof act>[1], more = {}) =>
    void act(meant(), what, { comment: comment.value.trim(), ...more }).then((done) => done && (comment.value = ""));
  return (
    <div class={many ? "deeds card" : "deeds"}>
      {many && <h2>{t("ticked", { n: ticked.value.size })}</h2>}
      <input
        class="comment"
        placeholder={t("comment")}
        value={comment.value}
        onInput={(event) => (comment.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.isComposing) {
            go(state === "open" ? "acknowledge" : "comment");
            event.currentTarget.blur();
          }
        }}
      />
      <div class="buttons">
        {state === "open" && (
          <button class="main" onClick={() => go("acknowledge")}>
            ✓ {t("act.acknowledge")}
          </button>
        )}
        {state !== "resolved" && <button onClick={() => go("resolve")}>{t("act.resolve")}</button>}
        {(many || state === "resolved") && <button onClick={() => go("reopen")}>{t("act.reopen")}</button>}
        <button disabled={comment.value.trim() === ""} onClick={() => go("comment")}>
          {t("act.comment")}
        </button>
        {state !== "resolved" && (
          <>
            <select
              aria-label={t("act.snooze")}
              value=""
              onChange={(event) => {
                const hours = event.currentTarget.value;
                event.currentTarget.value = "";
                if (hours !== "") go("snooze", { until: (hours === "t" ? tomorrow(8) : new Date(Date.now() + Number(hours) * 3.6e6)).toISOString() });
              }}
            >
              <option value="">{t("act.snooze")}…</option>
              <option value="1">{t("for.1h")}</option>
              <option value="4">{t("for.4h")}</option>
              <option value="t">{t("for.tomorrow")}</option>
            </select>
            <form
              onSubmit={(event) => {
                event.preventDefault();
                go("assign", { assignee: assignee.value.trim() });
              }}
            >
              <input placeholder={t("act.assign")} aria-label={t("act.assign")} value={assignee.value} onInput={(event) => (assignee.value = event.currentTarget.value)} />
            </form>
          </>
        )}
      </div>
      {!many && incident !== undefined && incident.state !== "resolved" && <Repair desk={desk} incident={incident} />}
    </div>
  );
}

/** Maintenance of what is thought to be the cause, in one click. */
function Repair({ desk, incident }: { desk: Desk; incident: Incident }) {
  const { cause, groups } = incident;
  const orders = [...desk.orders.value.values()].filter((one) => one.incident === incident.id);
  const places = cause.device !== null ? { devices: [cause.device] } : cause.scope === "district" ? { districts: [cause.key] } : cause.scope === "cell" ? { cells: [cause.key] } : { groups };
  if (Object.values(places).every((some) => some.length === 0)) return null;
  return (
    <p class="repair">
      <span class="dim">{t("maintain.cause")}</span>
      {SPANS.map((span) => (
        <button key={span} onClick={() => void maintain(desk, places, span)}>
          {t(`for.${span}`)}
        </button>
      ))}
      <button onClick={() => void order(desk, incident.id, headline(incident))}>{t("order")}</button>
      {orders.map((one) => (
        <button key={one.id} class="chip" onClick={() => (view.value = "maintenance")}>
          {one.id} {t(`order.${one.state}` as Key)}
        </button>
      ))}
    </p>
  );
}

function Members({ city, desk, incident: one }: { city: City; desk: Desk; incident: Incident }) {
  const all = useSignal("");
  const shown = all.value === one.id ? one.members : one.members.slice(0, FEW);
  const more = one.devices - one.members.length;
  const blind = one.blind_cameras?.count ?? 0;
  return (
    <section class="card">
      <h2>
        {t("members")} <small>{one.devices}</small>
      </h2>
      <ul class="devices">
        {shown.map((member) => (
          <MemberRow key={member.id} city={city} desk={desk} member={member} />
        ))}
      </ul>
      {shown.length < one.members.length && <button onClick={() => (all.value = one.id)}>{t("more", { n: one.devices - shown.length })}</button>}
      {shown.length === one.members.length && more > 0 && <p class="hint">{t("more", { n: more })}</p>}
      {blind > 0 && <p class="hint">{t("unrecorded", { n: blind })}</p>}
    </section>
  );
}

function MemberRow({ city, desk, member }: { city: City; desk: Desk; member: Member }) {
  const device = city.devices.get(member.id);
  const group = device?.group ? city.groups.get(device.group) : undefined;
  const muted = device !== undefined && desk.mutes(device, group?.district ?? "") !== undefined;
  const now = device ? device.standing.value : { state: stateOf(member.state), reason: member.reason };
  return (
    <li class={member.until !== null ? "back" : ""} onClick={() => (opened.value = member.id)}>
      <Mark state={now.state} />
      <div>
        <b>{member.name || member.id}</b> <span class="dim">{group?.name}</span>
        <br />
        <span class="dim">
          {member.role === "root" ? <span class="chip hot">{t("role.root")}</span> : <span class="chip">{t("role.explained")}</span>}{" "}
          {muted && <span class="chip muted">{t("muted")}</span>} {t(`state.${now.state}`)} {now.reason !== "" && <em title={now.reason}>{reason(now.reason)}</em>}{" "}
          {member.until !== null ? t("back", { at: when(member.until) }) : `${t("since")} ${when(member.since)}`}
        </span>
      </div>
    </li>
  );
}

function History({ incident }: { incident: Incident }) {
  const entries = useSignal<Entry[]>([]);
  const stamp = `${incident.id} ${incident.state} ${incident.devices} ${incident.acknowledged_at} ${incident.assignee} ${incident.snoozed_until} ${incident.escalation_level}`;
  useEffect(() => only(history(incident.id), (found) => (entries.value = found?.reverse() ?? [])), [stamp, incident]);
  return (
    <section class="card">
      <h2>{t("history")}</h2>
      <ol class="history">
        {entries.value.map((entry) => (
          <li key={entry.number}>
            <time>{when(entry.at)}</time>
            <span>
              {did(entry.what)} {detail(entry)} {entry.actor !== "" && <span class="dim">{who(entry.actor, entry.name)}</span>}
              {entry.comment !== "" && <q>{entry.comment}</q>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function detail({ detail: { assignee, until } }: Entry): string {
  if (typeof assignee === "string") return `→ ${assignee || "–"}`;
  return typeof until === "string" ? `→ ${when(until)}` : "";
}

/** Take what comes, undefined for an error, unless the reader looks at something else by then. */
function only<T>(coming: Promise<T>, take: (found?: T) => void): () => void {
  let current = true;
  coming.then((found) => current && take(found), () => current && take());
  return () => (current = false);
}

/** Why was I not told? */
function Told({ incident }: { incident: Incident }) {
  const answers = useSignal<Answer[] | null>(null);
  useEffect(() => only(why(incident.id), (found) => (answers.value = found ?? null)), [incident]);
  if (answers.value === null) return null;
  return (
    <section class="card">
      <h2>{t("told")}</h2>
      {answers.value.length === 0 && <p class="hint">{t("told.none")}</p>}
      <ol class="history">
        {answers.value.map((one) => (
          <li key={`${one.at} ${one.en}`}>
            <time>{when(one.at)}</time>
            <span class={one.told ? "" : "dim"}>
              {one.told ? "✓" : "–"} {one[language.value]}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
