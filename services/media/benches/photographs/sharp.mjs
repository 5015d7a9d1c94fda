// CPU seconds that sharp takes to make WebP files of a photograph: node sharp.mjs PHOTO ROUNDS QUALITY WIDTH…
import { createRequire } from "node:module";

const require = createRequire(`${process.env.SHARP_HOME}/`);
const sharp = require("sharp");
const [photo, rounds, quality, ...widths] = process.argv.slice(2);

async function once() {
  const source = sharp(photo);
  await Promise.all(
    widths.map((width) => source.clone().resize(Number(width)).webp({ quality: Number(quality) }).toBuffer()),
  );
}

await once();
const before = process.cpuUsage();
for (let round = 0; round < Number(rounds); round += 1) await once();
const { user, system } = process.cpuUsage(before);
console.log((user + system) / 1e6 / Number(rounds));
