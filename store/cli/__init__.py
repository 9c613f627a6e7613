"""The command line: `store serve | call | query | watch | snapshot | restore | clone | backup | salvage | log | …`.

Responsible for: reading arguments, picking the real world, loading domains by name, finding the generation in force
(directories), holding what is read (lease), printing for people and for programs (output, progress), exit codes
(exits). Not responsible for: anything a library user could not do without it.
"""
