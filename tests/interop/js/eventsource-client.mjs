// Follows event streams with the npm package `eventsource-client`, as an async iterator, until their terminal events.

import { createEventSource } from "eventsource-client";
import { Joined, main } from "./joining.mjs";

await main(async (url) => {
  const source = createEventSource(url);
  const joined = new Joined();
  for await (const { id, data } of source) {
    joined.take(id, data);
    if (joined.end) break;
  }
  source.close();
  return joined;
});
