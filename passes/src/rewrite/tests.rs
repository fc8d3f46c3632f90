//! Tests of rules, facts, regions and determinism.
