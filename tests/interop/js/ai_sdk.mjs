// The AI SDK in the version that is asked for, with what its React package needs of a page: nothing of it is replaced.

import { createRequire } from "node:module";

globalThis.IS_REACT_ACT_ENVIRONMENT = false;

/** `useChat`, the class behind it, and the transport that both have where no other is named. */
export async function sdk(version) {
  const names = version === "7" ? ["ai", "@ai-sdk/react"] : [`ai${version}`, `ai-sdk-react${version}`];
  const [{ DefaultChatTransport }, { Chat, useChat }] = await Promise.all(names.map((name) => import(name)));
  return { DefaultChatTransport, Chat, useChat };
}

/** Mounts a component that is nothing but this hook; `unmount` it. */
export function mounted(hook) {
  const require = createRequire(import.meta.url);
  const { createElement } = require("react");
  const { create } = require("react-test-renderer");
  const page = { now: undefined };
  function Page() {
    page.now = hook();
    return null;
  }
  const root = create(createElement(Page));
  page.unmount = () => root.unmount();
  return page;
}

export const textOf = (message) =>
  (message?.parts ?? []).filter((part) => part.type === "text").map((part) => part.text).join("");

export async function until(seen, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = seen();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
