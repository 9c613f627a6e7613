"""The operator's commands: snapshots, restore, clone, salvage, backup. What they do, upkeep/ and backup/ do."""
