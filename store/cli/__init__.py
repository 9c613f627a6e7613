"""The command line: `store serve | call | query | watch | log | token | demo | config`.

Responsible for: reading arguments, picking the real world, loading domains by name, printing for people and for
programs (output), exit codes (exits). Not responsible for: anything a library user could not do without it.
"""
