//! One OpenAPI document out of three.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use grafikarsa_devstack::services::{SERVICES, programs};
use serde_json::{Map, Value, json};

pub(crate) async fn run(check: bool) -> anyhow::Result<()> {
    let mut documents = Vec::new();
    for service in SERVICES {
        let output = tokio::process::Command::new(programs()?.join(service)).arg("openapi").output().await?;
        ensure!(output.status.success(), "{service} openapi failed: {}", String::from_utf8_lossy(&output.stderr));
        let document: Value =
            serde_json::from_slice(&output.stdout).with_context(|| format!("{service}'s document"))?;
        documents.push((service, document));
    }
    let merged = serde_json::to_string_pretty(&merge(documents)?)? + "\n";
    let file = Path::new("docs/openapi.json");
    let current = std::fs::read_to_string(file).unwrap_or_default();
    if check {
        ensure!(current == merged, "docs/openapi.json is stale: run `make openapi`");
    } else if current != merged {
        std::fs::create_dir_all("docs")?;
        std::fs::write(file, merged)?;
    }
    Ok(())
}

/// Paths and components side by side; the same schema name with another content is an error.
fn merge(documents: Vec<(&str, Value)>) -> anyhow::Result<Value> {
    let mut paths = Map::new();
    let mut components: Map<String, Value> = Map::new();
    for (service, mut document) in documents {
        if let Some(Value::Object(own)) = document.get_mut("paths").map(Value::take) {
            for (path, operations) in own {
                let known = paths.entry(path.clone()).or_insert_with(|| json!({}));
                let (Value::Object(known), Value::Object(operations)) = (known, operations) else {
                    bail!("{service}: {path} is no path item")
                };
                for (method, operation) in operations {
                    ensure!(known.insert(method.clone(), operation).is_none(), "two services serve {method} {path}");
                }
            }
        }
        if let Some(Value::Object(own)) = document.get_mut("components").map(Value::take) {
            for (kind, entries) in own {
                let Value::Object(entries) = entries else { bail!("{service}: {kind} is no map") };
                let known = components.entry(kind).or_insert_with(|| json!({}));
                let Value::Object(known) = known else { bail!("components of mixed kinds") };
                for (name, entry) in entries {
                    if let Some(other) = known.get(&name) {
                        ensure!(*other == entry, "{service} means something else by the schema {name}");
                    }
                    known.insert(name, entry);
                }
            }
        }
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Grafikarsa",
            "version": "1",
            "description": "The HTTP API of the Grafikarsa backend: auth, portfolio and media behind one address.",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"}
        },
        "servers": [{"url": "/"}],
        "paths": sorted(paths),
        "components": sorted(components.into_iter().map(|(kind, entries)| match entries {
            Value::Object(entries) => (kind, Value::Object(sorted(entries))),
            other => (kind, other),
        }).collect()),
    }))
}

fn sorted(map: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<(String, Value)> = map.into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries.into_iter().collect()
}
