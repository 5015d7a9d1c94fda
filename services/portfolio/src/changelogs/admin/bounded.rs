use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// A list of which `MOST` items are kept and the others only counted: in 32 MiB there is room for millions of small ones,
/// and each would take many times its bytes.
#[derive(Debug)]
pub struct Bounded<T, const MOST: usize> {
    pub items: Vec<T>,
    /// How many were sent.
    pub count: usize,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
    type Value = Bounded<T, MOST>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < MOST {
            match list.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(Bounded { count: items.len(), items }),
            }
        }
        let mut count = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Bounded { items, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        for (json, kept, count) in [("[]", vec![], 0), ("[1,2]", vec![1, 2], 2), ("[1,2,3,[4],{}]", vec![1, 2, 3], 5)] {
            let list: Bounded<u8, 3> = serde_json::from_str(json).unwrap();
            assert_eq!((list.items, list.count), (kept, count), "{json}");
        }
        for bad in ["{}", "[1,2,3,", "[1,\"x\"]"] {
            assert!(serde_json::from_str::<Bounded<u8, 3>>(bad).is_err(), "{bad}");
        }
    }
}
