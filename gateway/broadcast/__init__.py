"""Voices in the street: orders accepted durably, arbitrated, routed to loudspeakers and accounted for, speaker by speaker.

- Ordered: `service` over `orders`, `acceptance`, `approvals`, `rulebook`, `hours` (`hours_file`, `holidays_file`), `routing`, `stops`;
  again and again: `schedules`.
- Sounds: `clips`, `speech`, `kept_sounds`, put together by `sound`; a live voice: `talk`, `microphone`, `recordings`.
- Carried out: `performance` with `stage` and `curtain`, over `leases`, `setups`, `sessions`, `farewells`, `verification`, `understudies`,
  `loudness`, `zonecast`; played by the device itself: `kept`, `silencing`. Found out before: `warmup`. Packet by packet: `pacing/`.
- Accounted for: `journal`, `views`, `ledger`, `ledger_files`, `statistics`, `pictures`.
"""
