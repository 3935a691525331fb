// The same file and text give the same bits as on the host, in every tier of V8.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { reference } from "../package.js";

const script = fileURLToPath(new URL("answers.js", import.meta.url));

const TIERS = [["--liftoff-only"], ["--no-liftoff"], ["--disallow-code-generation-from-strings"]];

for (const flags of TIERS) {
  test(`answers are the host's with ${flags}`, () => {
    const options = { maxBuffer: 1 << 27, encoding: "utf8" };
    const answers = JSON.parse(execFileSync(process.execPath, [...flags, script], options));
    const expected = reference();
    assert.equal(answers.length, expected.length);
    expected.forEach((answer, index) => {
      // Texts of a megabyte make no good message.
      const { text, ...rest } = answers[index];
      assert.ok(text === answer.text);
      assert.deepEqual({ text: answer.text.slice(0, 60), ...rest }, { ...answer, text: answer.text.slice(0, 60) });
    });
  });
}

test("the reference has short, long, empty and foreign texts", () => {
  const texts = reference().map(({ text }) => text);
  assert.ok(texts.includes(""));
  assert.ok(texts.some((text) => /\p{Extended_Pictographic}/u.test(text)));
  assert.ok(texts.some((text) => /\p{Script=Han}/u.test(text)));
  assert.ok(texts.some((text) => text.length >= 1_000_000));
});
