use std::fmt::Display;

use crate::Event;

/// `<publisher>.v1.<name>`: the subject of an event, before the namespace.
pub fn subject<E: Event>() -> String {
    format!("{}.v1.{}", E::PUBLISHER, E::NAME)
}

/// `<namespace>.<publisher>.v1.<name>`. `name` may hold wildcards, such as `account.*`.
pub fn full_subject(namespace: &str, publisher: &str, name: &str) -> String {
    format!("{namespace}.{publisher}.v1.{name}")
}

/// `<namespace>.<publisher>.v1.>`: all that a publisher says.
pub fn stream_subjects(namespace: &str, publisher: &str) -> String {
    full_subject(namespace, publisher, ">")
}

/// `<namespace>_<publisher>`: the stream that keeps a publisher's events. Stream names hold no dots.
pub fn stream_name(namespace: &str, publisher: &str) -> String {
    format!("{namespace}_{publisher}")
}

/// `<namespace>.applied.<event id>`: the core NATS subject on which a consumer says that it has applied an event.
/// No stream keeps it.
pub fn applied_subject(namespace: &str, event: impl Display) -> String {
    format!("{namespace}.applied.{event}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EVENTS, auth::v1::AccountChanged};

    #[test]
    fn a_subject_is_made_of_publisher_version_and_name() {
        assert_eq!(subject::<AccountChanged>(), "auth.v1.account.changed");
        assert_eq!(full_subject("grafikarsa", "auth", "account.*"), "grafikarsa.auth.v1.account.*");
    }

    #[test]
    fn no_two_events_share_a_subject() {
        let mut subjects: Vec<_> = EVENTS.iter().map(|event| (event.publisher, event.name)).collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), EVENTS.len());
    }

    #[test]
    fn every_name_is_an_entity_and_what_happened_to_it() {
        for event in EVENTS {
            let (entity, happened) = event.name.split_once('.').expect("two parts");
            let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(plain(entity) && plain(happened), "{}", event.name);
        }
    }
}
