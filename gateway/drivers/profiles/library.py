"""All profiles: read from their folder, inherited along their lines, and chosen by what a device says of itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.domain.alarms import TrapRule
from gateway.domain.quirks import Quirks
from gateway.domain.speaking import SpeakerWays, by_quirks
from gateway.drivers.profiles.drafts import ProfileDraft
from gateway.drivers.profiles.files import read
from gateway.drivers.profiles.model import Profile, Traits
from gateway.drivers.profiles.quirks import Book
from gateway.errors import Fault, InvalidInput

BASE = "mib2-base"


class Profiles:
    """All profiles by name."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.by_name = {profile.name: profile for profile in profiles}
        base = self.by_name.get(BASE, Profile(BASE)).traps
        self._traps: Mapping[str, Mapping[str, TrapRule]] = {name: {**base, **profile.traps} for name, profile in self.by_name.items()} | {
            "": base
        }

    @classmethod
    def load(cls, folder: Path) -> "Profiles":
        """Read every `*.yaml` of `folder`, and the quirk book beside it when it is there.

        Raises InvalidInput naming each fault of each file, or when there is no profile.
        """
        faults: list[Fault] = []
        drafts: dict[str, ProfileDraft] = {}
        paths = sorted(folder.glob("*.yaml"))
        if not paths:
            raise InvalidInput(f"there is no profile in {folder}", code="invalid-profile", hint="see profiles_dir in the configuration")
        book = _book_beside(folder, faults)
        for path in paths:
            try:
                draft = read(path, ProfileDraft)
                if draft.profile in drafts:
                    faults.append(Fault(path.name, f"the profile {draft.profile!r} stands in another file already"))
                drafts[draft.profile] = draft
                faults += book.faults_of(draft)
            except InvalidInput as error:
                faults += error.faults
        if not faults:
            faults += [Fault(name, why) for name, draft in drafts.items() for why in _lineage_faults(draft, drafts)]
        found = [] if faults else [_compile(draft, drafts, book) for draft in drafts.values()]
        faults += [Fault(profile.name, why) for profile in found for why in _trap_faults(profile)]
        if faults:
            raise InvalidInput(f"the profiles in {folder} are wrong", faults=faults, code="invalid-profile")
        return cls(found)

    def choose(self, name: str, traits: Traits) -> Profile:
        """The profile called `name`, else the one that matches best, else MIB-2's, else an empty one."""
        return self.by_name.get(name) or self.match(traits) or self.by_name.get(BASE, Profile(BASE))

    def traps_of(self, profile: Profile | None) -> Mapping[str, TrapRule]:
        """What the notifications of a device with this profile mean: MIB-2's everywhere, and what the profile says beside or instead."""
        return self._traps[profile.name if profile else ""]

    def match(self, traits: Traits) -> Profile | None:
        """The profile that matches best.

        Of the conditions that `traits` tell anything of: the longest object id, then the most conditions. Among equals the one with the
        fewest conditions that nothing is known of, then the one whose line narrows most often, then the first name.
        """
        found = [profile for profile in self.by_name.values() if profile.matches(traits)]
        return min(found, key=lambda profile: _precision(profile, traits), default=None)


def _precision(profile: Profile, traits: Traits) -> tuple[int, int, int, int, int, str]:
    judged = [condition for condition in profile.conditions if traits.tell(condition.trait)]
    longest = max((len(condition.prefix) for condition in judged), default=0)
    narrowings = sum(any(map(traits.tell, generation)) for generation in profile.narrowings)
    return (-longest, -len(judged), len(profile.conditions) - len(judged), -narrowings, len(profile.lineage), profile.name)


def _book_beside(folder: Path, faults: list[Fault]) -> Book:
    path = folder.parent / "quirks.yaml"
    if path.exists():
        try:
            return Book.load(path)
        except InvalidInput as error:
            faults += error.faults
    return Book(version=1, quirks={})


def _lineage_faults(draft: ProfileDraft, drafts: Mapping[str, ProfileDraft]) -> Iterable[str]:
    seen = [draft.profile]
    while draft.extends is not None:
        if draft.extends not in drafts:
            yield f"extends {draft.extends!r}, which does not exist"
            return
        if draft.extends in seen:
            yield f"extends itself: {' → '.join([*seen, draft.extends])}"
            return
        seen.append(draft.extends)
        draft = drafts[draft.extends]


def _trap_faults(profile: Profile) -> Iterable[str]:
    """A clear without its raise, or with another key, would never clear anything."""
    for rule in profile.traps.values():
        raised = profile.traps.get(rule.clears)
        if rule.clears and (raised is None or raised.raises is None):
            yield f"{rule.event} clears {rule.clears}, which raises nothing"
        elif raised is not None and rule.clears and raised.key != rule.key:
            yield f"{rule.event} has another key than {raised.event}, which it clears"


def _ways(draft: ProfileDraft | None, drafts: Mapping[str, ProfileDraft], quirks: Quirks) -> SpeakerWays:
    """How the model wants to be spoken to: by all of its quirks, and by what its line says, its own word last."""
    if draft is None:
        return by_quirks(quirks)
    ways = _ways(drafts[draft.extends] if draft.extends else None, drafts, quirks)
    return draft.speaker.ways(ways) if draft.speaker else ways


def _compile(draft: ProfileDraft, drafts: Mapping[str, ProfileDraft], book: Book) -> Profile:
    """The profile with all that it inherits; what it names itself wins.

    Of its conditions, those of a trait that it names take the place of the inherited ones; a profile without any has none.
    """
    parent = _compile(drafts[draft.extends], drafts, book) if draft.extends else Profile("")
    facts = dict(parent.facts) | {name: (fact.oid, fact.decoding()) for name, fact in draft.facts.items()}
    sensors = {sensor.name: sensor for sensor in parent.sensors} | {name: each.sensor(name) for name, each in draft.sensors.items()}
    single = [sensor.oid for sensor in sensors.values() if not sensor.per_row]
    own = [entry.condition() for entry in draft.match]
    named = {condition.trait for condition in own}
    inherited = [condition for condition in parent.conditions if condition.trait not in named] if own else []
    quirks = Quirks({**parent.quirks.by_switch, **book.quirks_of(draft)})
    return Profile(
        draft.profile,
        facts=facts,
        sensors=tuple(sensors.values()),
        oids=tuple(dict.fromkeys([*(oid for oid, _ in facts.values()), *single])),
        walks=tuple(dict.fromkeys(sensor.oid for sensor in sensors.values() if sensor.per_row)),
        conditions=(*inherited, *own),
        quirks=quirks,
        speaker=_ways(draft, drafts, quirks),
        lineage=(*parent.lineage, parent.name) if parent.name else (),
        narrowings=(*parent.narrowings, frozenset(named)) if named else (),
        traps={**parent.traps, **{trap: each.rule(trap) for trap, each in draft.traps.items()}},
    )
