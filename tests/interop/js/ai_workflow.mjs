// WorkflowChatTransport, which goes on by the number of the chunk: through cuts at random bytes. Arguments: how (`whole`, or a
// first `startIndex` of somebody who comes later), URL, model; with a number also the generation. Prints what it joined.

import { WorkflowChatTransport } from "@ai-sdk/workflow/client";
import { sdk, textOf } from "./ai_sdk.mjs";

console.error = () => {}; // it tells of each cut
console.warn = () => {};
const [how, url, model, generation] = process.argv.slice(2);
let requests = 0;
const key = crypto.randomUUID();
// The transport asks again where a body was cut, and gives up where there was no answer: so this is what its `fetch` is for.
async function counted(request, init) {
  for (;;) {
    requests += 1;
    try {
      return await fetch(request, { ...init, headers: { ...init?.headers, "Idempotency-Key": key } });
    } catch (error) {
      if (requests > 200) throw error;
    }
  }
}
const ended = [];
const transport = new WorkflowChatTransport({
  api: `${url}/api/chat`,
  fetch: counted,
  maxConsecutiveErrors: 100,
  onChatEnd: ({ chunkIndex }) => ended.push(chunkIndex),
});
if (how === "whole") {
  const { Chat } = await sdk("7");
  const errors = [];
  const chat = new Chat({ id: "c-1", transport, onError: (error) => errors.push(error.message) });
  await chat.sendMessage({ text: "Tell me a story" }, { body: { model } });
  const last = chat.messages.at(-1);
  console.log(JSON.stringify({ text: textOf(last), id: last.id, status: chat.status, errors, ended, requests }));
} else {
  const stream = await transport.reconnectToStream({ chatId: generation, startIndex: Number(how) });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  console.log(JSON.stringify({ chunks, ended, requests }));
}
