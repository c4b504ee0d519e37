// `WebSocketChatTransport` as it is. Arguments: URL, a URL that cuts what is read, model, a slow model. A chat is sent and resumed behind the
// cuts until it is whole; another has two readers, and is stopped by who has sent it. Prints what they have.

import { WebSocketChatTransport } from "ai";

import { sdk, textOf, until } from "./ai_sdk.mjs";

const [url, cutting, model, slow] = process.argv.slice(2);
const { Chat } = await sdk("7");
const transport = (base, name) => new WebSocketChatTransport({ url: `${base}/api/chat/ws`, protocols: "respool.chat.v1", body: { model: name } });
const reader = (id, base, name, messages, more = {}) => new Chat({ id, messages, transport: transport(base, name), ...more });

const id = `chat-${crypto.randomUUID()}`;
let [opened, disconnects, messages, whole] = [0, 0, [], undefined];
while (!whole && opened < 60) {
  opened += 1;
  const onFinish = (end) => { disconnects += end.isDisconnect ? 1 : 0; };
  const chat = reader(id, cutting, model, messages, { onFinish, onError: () => {} });
  await (opened === 1 ? chat.sendMessage({ text: "Tell me a story" }) : chat.resumeStream());
  messages = chat.messages.filter((message) => message.role === "user");
  if (chat.status === "ready" && chat.lastMessage?.metadata?.respool) whole = chat.lastMessage;
  chat.transport.close();
}

const second = `chat-${crypto.randomUUID()}`;
const ours = reader(second, url, slow, []);
const sent = ours.sendMessage({ text: "Tell me a story" });
await until(() => textOf(ours.lastMessage).length > 40);
const theirs = reader(second, url, slow, ours.messages.slice(0, 1));
const superseded = theirs.resumeStream();
const resumed = theirs.resumeStream(); // as a page does that is mounted twice: the first one is aborted
await until(() => textOf(theirs.lastMessage).length > 80);
await ours.stop();
await Promise.all([sent, superseded, resumed]);
const over = await transport(url, slow).reconnectToStream({ chatId: `chat-${crypto.randomUUID()}` });
console.log(JSON.stringify({
  opened, disconnects, id: whole.id, text: textOf(whole),
  statuses: [ours.status, theirs.status], ids: [ours, theirs].map((chat) => chat.lastMessage.id),
  stopped: textOf(ours.lastMessage), watched: textOf(theirs.lastMessage), over,
}));
process.exit(0);
