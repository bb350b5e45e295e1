"""The version of the rules. Stored with every figure, so that an old figure can be told from a new one."""

ENGINE_VERSION = "1.0"

RULESET_2015 = "ghgp-scope2-2015"
RULESET_DRAFT_2025_10 = "ghgp-scope2-draft-2025-10"
