"""The conversation with one client, and the queries clients follow.

Responsible for: messages, what answers them, who is told what. Not responsible for: sockets, tokens, tasks
(server/), and not for when something is durable (engine/): a session only hands its answers to the feed.
"""
