//! What a photograph costs from the upload to the visitor: CPU time beside `vipsthumbnail` and sharp, memory while many
//! are confirmed at once, and the rate of a picture through nginx beside a file that nginx has on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may panic")]

mod people;
mod photographs;
mod processes;
mod visitors;

use std::{fmt::Write as _, path::PathBuf, thread};

use grafikarsa_devstack::testing::Stack;

use crate::{people::People, processes::Memory};

/// Widths that a thumbnail is made in.
const WIDTHS: [u32; 3] = [320, 640, 1280];

#[tokio::main]
async fn main() {
    let small = photographs::photograph(4032, 3024);
    let large = photographs::photograph(8660, 5773);
    let ours = photographs::ours(&small);
    let vips = photographs::vipsthumbnail(&small);
    let sharp = photographs::sharp(&small);

    let mut stack = Stack::with_own_servers().await;
    stack.set("RATE_LIMIT_REQUESTS", "100000000").set("LOG_LEVEL", "warn");
    let people = People::new(&stack).await;
    let idle = Memory::of(&people.media);
    let confirm = people.confirm_one(&small).await;
    eprintln!("CPU s: media {ours:.3}, vipsthumbnail {vips:.3}, sharp {sharp:.3}");
    let eight = people.confirm_together("thumbnail", &small, 8).await;
    let two = people.confirm_together("banner", &large, 2).await;
    eprintln!("MiB: 8 of 12 megapixels {eight:.0}, 2 of 50 megapixels {two:.0}");
    let after = people.settled().await;
    let picture = people.picture().await;
    let visits = visitors::measure(&people, &picture).await;

    let mut text = format!(
        "# Measured: photographs\n\nWritten by `make bench-media`, with release builds and durable servers, all on {} cores.\n\n",
        thread::available_parallelism().map_or(1, usize::from),
    );
    let mib = |bytes: usize| f64::from(u32::try_from(bytes).unwrap()) / 1024.0 / 1024.0;
    writeln!(
        text,
        "A photograph of 12 megapixels ({:.1} MiB), decoded and made into WebP of {WIDTHS:?} pixels:\n",
        mib(small.len())
    )
    .unwrap();
    writeln!(text, "| program | CPU s | ratio |\n| --- | --- | --- |").unwrap();
    for (name, seconds, target) in
        [("media", ours, ""), ("vipsthumbnail", vips, " (target: below 1)"), ("sharp", sharp, " (target: at most 1.3)")]
    {
        let ratio = if target.is_empty() { String::new() } else { format!("{:.2}{target}", ours / seconds) };
        writeln!(text, "| {name} | {seconds:.3} | {ratio} |").unwrap();
    }
    writeln!(
        text,
        "\nIts whole confirmation as a thumbnail, in both formats, with the clean copy and the placeholder: {:.3} s of CPU in \
         media, {:.0} ms until the answer.\n",
        confirm.cpu, confirm.milliseconds,
    )
    .unwrap();
    writeln!(text, "| memory of media | MiB |\n| --- | --- |").unwrap();
    writeln!(text, "| idle at the start | {:.0} |", idle.resident).unwrap();
    writeln!(
        text,
        "| most while 8 photographs of 12 megapixels are confirmed at once (target: below 250) | {eight:.0} |"
    )
    .unwrap();
    writeln!(
        text,
        "| most while 2 of 50 megapixels ({:.1} MiB) are confirmed at once (target: below 250) | {two:.0} |",
        mib(large.len()),
    )
    .unwrap();
    writeln!(text, "| afterwards | {after:.0} |").unwrap();
    writeln!(text, "\n{}", visits.markdown()).unwrap();

    println!("\n{text}");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks-media.md");
    std::fs::write(&file, text).unwrap();
    println!("Written to docs/benchmarks-media.md.");
}
