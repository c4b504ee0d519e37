// `useChat` behind a network that cuts it: a page sends a message, and is opened anew with `resume: true` whenever its stream was
// cut, until it has the whole. Arguments: version, URL, model. Prints how often it was opened, its text and its message's id.

import { mounted, sdk, textOf, until } from "./ai_sdk.mjs";

const [version, url, model] = process.argv.slice(2);
const { DefaultChatTransport, useChat } = await sdk(version);
const id = `chat-${crypto.randomUUID()}`;
const transport = new DefaultChatTransport({ api: `${url}/api/chat`, body: { model } });

let messages = [];
let opened = 0;
let ended;
while (!ended && opened < 100) {
  opened += 1;
  const resume = opened > 1;
  let over;
  const page = mounted(() =>
    useChat({ id, messages, transport, resume, onFinish: (end) => { over = end ?? true; }, onError: (error) => { over = { error }; } }),
  );
  await until(() => page.now);
  if (!resume) void page.now.sendMessage({ text: "Tell me a story" });
  await until(() => over && page.now.status !== "streaming" && page.now.status !== "submitted");
  const all = page.now.messages;
  // what a page has of its own store: what its user has said
  messages = all.filter((message) => message.role === "user");
  if (page.now.status === "ready" && all.at(-1)?.metadata?.respool) ended = { all };
  page.unmount();
}
console.log(JSON.stringify({
  opened, count: ended.all.length, text: textOf(ended.all.at(-1)), id: ended.all.at(-1).id,
  reasoning: ended.all.at(-1).parts.filter((part) => part.type === "reasoning").map((part) => part.text).join(""),
}));
