// Ask askfleet with OpenAI's SDK for JavaScript: only baseURL and apiKey differ.
//
//   npm ci
//   AF_URL=http://127.0.0.1:8080 AF_API_KEY=... node openai_client.js "How do I reset the hub?"

import OpenAI from "openai";

const question = process.argv[2];
if (!question) {
  console.error('usage: node openai_client.js "a question"');
  process.exit(2);
}
const client = new OpenAI({
  baseURL: `${process.env.AF_URL ?? "http://127.0.0.1:8080"}/v1`,
  apiKey: process.env.AF_API_KEY ?? "none",
});
const chunks = await client.chat.completions.create({
  model: "askfleet",
  messages: [{ role: "user", content: question }],
  stream: true,
});
let sources = [];
for await (const chunk of chunks) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
  // Beside OpenAI's fields: what each [n] of the text stands for, on the last chunk.
  sources = chunk.sources ?? sources;
}
console.log();
for (const source of sources) {
  console.log(`[${source.number}] ${source.title} ${source.source}`);
}
