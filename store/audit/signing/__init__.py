"""Who stands for a trail: its keys and their succession, where the secrets are kept, and its witnesses.

Responsible for: which key is in force at which event, rotation and revocation, what a witness remembers and signs,
whom the log asks for cosignatures and whether those that came are enough.
Not responsible for: what is signed (objects), when (shipping).
"""
