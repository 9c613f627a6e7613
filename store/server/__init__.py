"""The doors to the network: WebSocket and HTTP on one port, and the loop that carries out what the engine asks for.

Responsible for: sockets, tasks, threads, tokens, metrics, when the process ends. Not responsible for: what a message
means (subscribe/), what a transaction is (engine/). Every door but the health checks, where an option opens them, wants
a token. HTTP.md is the page of the HTTP doors; app.py is where the rooms are put together.
"""
