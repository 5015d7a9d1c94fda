//! Schemas only grow. `baseline.txt` lists every field and every event that was ever released; the test fails when one
//! of them is gone, has another number or another type, because events of the old shape are still in streams, outboxes
//! and dead letters, and the services are not updated all at once.
//!
//! After adding a field or an event: `UPDATE_BASELINE=1 cargo test -p proto-events`, and commit `baseline.txt`. The
//! update refuses to lose a line.
#![allow(clippy::expect_used, reason = "a test may panic")]

use std::{collections::BTreeSet, fs};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use proto_events::{EVENTS, FILE_DESCRIPTOR_SET};

/// In the package's folder, where tests run.
const BASELINE: &str = "baseline.txt";

#[test]
fn nothing_of_the_baseline_is_gone_and_all_that_is_new_is_recorded() {
    let current = current();
    let text = fs::read_to_string(BASELINE).unwrap_or_default();
    let baseline: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();

    let broken: Vec<_> = baseline.iter().filter(|line| !current.contains(**line)).collect();
    assert!(broken.is_empty(), "released fields or events are gone, renumbered or of another type: {broken:#?}");

    if std::env::var_os("UPDATE_BASELINE").is_some() {
        let mut text =
            "# Written by UPDATE_BASELINE=1 cargo test -p proto-events; lines are never changed or removed.\n"
                .to_owned();
        for line in &current {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(BASELINE, text).expect("baseline.txt can be written");
    } else {
        let new: Vec<_> = current.iter().filter(|line| !baseline.contains(line.as_str())).collect();
        assert!(new.is_empty(), "record these with UPDATE_BASELINE=1 cargo test -p proto-events: {new:#?}");
    }
}

fn current() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the descriptors were written by the build");
    let mut lines = BTreeSet::new();
    for file in &set.file {
        for message in &file.message_type {
            fields(file.package(), message, &mut lines);
        }
    }
    lines.extend(EVENTS.iter().map(|event| format!("event {}.v1.{} = {}", event.publisher, event.message, event.name)));
    lines
}

fn fields(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    for field in &message.field {
        lines.insert(format!("field {name}.{} = {} {}", field.name(), field.number(), kind(field)));
    }
    for nested in &message.nested_type {
        fields(&name, nested, lines);
    }
}

fn kind(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    format!("{label}{kind}")
}
