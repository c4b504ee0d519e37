// Two readers of one chat, and its stop. Arguments: version, URL, model. Prints what both have.

import { sdk, textOf, until } from "./ai_sdk.mjs";

const [version, url, model] = process.argv.slice(2);
const { DefaultChatTransport, Chat } = await sdk(version);
const id = `chat-${crypto.randomUUID()}`;
const transport = () => new DefaultChatTransport({ api: `${url}/api/chat`, body: { model } });
const ends = [];
const reader = (name, messages = []) =>
  new Chat({ id, messages, transport: transport(), onFinish: (end) => ends.push({ name, ...end, message: undefined, messages: undefined }) });

const first = reader("first");
const sent = first.sendMessage({ text: "Tell me a story" });
await until(() => textOf(first.messages.at(-1)).length > 40);
const second = reader("second", first.messages.slice(0, 1));
const resumed = second.resumeStream();
await until(() => textOf(second.messages.at(-1)).length > 80);
const stopped = await fetch(`${url}/api/chat/${id}/stop`, { method: "POST" });
await Promise.all([sent, resumed]);
const third = reader("third", first.messages.slice(0, 1));
console.log(JSON.stringify({
  stopped: await stopped.json(),
  statuses: [first.status, second.status],
  texts: [first, second].map((chat) => textOf(chat.messages.at(-1))),
  ids: [first, second].map((chat) => chat.messages.at(-1).id),
}));
