"""Recorded footage, from a request or a hold to what is handed over, every step on record.

- Asked for: `service` over `filing`, `register`, `amending`; who reads it and what is refused: `reading`, `refusals`.
- Found: `locating`, `coverage`, `looks`, `clocks`.
- Fetched: `fulfilment`, camera by camera by `fetching` over `stretches`, `camera_fetch`, `progress`, by turns (`turns`, `patience`) and
  where there is room (`planning`, `short_of_room`, `space`); in a process of its own `worker`, `exporting`, `cutting`, `cut_file`,
  `timing`. Had from a hold or another request: `adopting`, `taking_over`, `in_hand`. Brought by a person: `imports`.
- Held before it is overwritten: `holds`, `securing`, `precautions`.
- Sealed: `sealing`, `proving`, `resealing` with `papers`, `stationery`, `instructions`, signed by `keys`, `sm2_key`.
- Looked at: `strips`, `viewing`, `viewing_page`.
- Given away: `handover`, `links`, `link_page`, compared with its seal by `comparing` and `damage`; sent by `sending`, `carrying` to
  `destinations` (`to_directory`, `to_object_store`).
- Compared with its seal while it lies there: `scrubbing`, `scrub_worker`.
- Over: `disposal`, `shredding`.
- On record: `ledger`, `custody`. Files in threads: `filework`.
"""
