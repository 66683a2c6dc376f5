"""RTP (RFC 3550) as RTSP, SIP and multicast send and receive it: packets, their numbers, what is reported of them, pairs of ports."""
