use std::{fs, path::Path};

use grafikarsa_events::SCHEMA;

#[test]
fn the_migrations_of_every_service_contain_the_schema_word_for_word() {
    // Tests run in their package's folder. What the compiler knew of it may be another clone with the same build output.
    let services = Path::new("../../services");
    for service in ["auth", "portfolio", "media"] {
        let folder = services.join(service).join("migrations");
        let statements = SCHEMA.split_once("\n\n").map_or(SCHEMA, |(_, statements)| statements);
        let found = fs::read_dir(&folder).expect("the service has migrations").any(|file| {
            let file = file.expect("the folder can be read").path();
            fs::read_to_string(file).is_ok_and(|text| text.contains(statements.trim()))
        });
        assert!(found, "{} has no migration with the statements of schema.sql", folder.display());
    }
}
