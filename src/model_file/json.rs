//! What `serde_json` does not refuse: an object with two values under one key, of which it takes the last.

use bayeslift_ir::Foreign;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, collections::HashSet, fmt};

/// Any JSON value of which no object has a key twice.
pub struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Hash, PartialEq, Eq)]
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let Unique = map.next_value()?;
            if let Some(Key(key)) = keys.replace(key) {
                return Err(A::Error::custom(format_args!("the key `{}` is there twice", Foreign::new(&key))));
            }
        }
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Unique, A::Error> {
        while let Some(Unique) = values.next_element()? {}
        Ok(Unique)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }
}

/// Checks that a JSON text has no key twice in one object.
///
/// # Errors
/// A text that is no JSON; the first key that is there twice.
pub fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice(text).map(|Unique| ())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_key_is_there_once() {
        let sound = r#"{"a":{"b":[1,-2,3.5,null,true,"x\n"],"a":{}},"b":{"a":0}}"#;
        check(sound.as_bytes()).unwrap();
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"x":[{"a":1,"b":2,"a":3}]}]"#, r#"{"a":1,"\u0061":1}"#] {
            let error = check(twice.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the key `a` is there twice"), "{error}");
        }
        let hostile = "{\"\\u001b]0;\":1,\"\\u001b]0;\":2}";
        assert!(!check(hostile.as_bytes()).unwrap_err().to_string().contains('\u{1b}'));
        assert!(check("[".repeat(1 << 20).as_bytes()).is_err());
        assert!(check(b"{} x").is_err());
    }
}
