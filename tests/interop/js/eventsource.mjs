// Follows event streams with an EventSource: that of the npm package `eventsource`, or, with OWN=1, Node's own.
//
// It never calls close(): each must stop by itself, once the server answers 204 to the terminal id. `code` is the status that
// stopped it, where the client tells. (Node 22's own comes back after one clean end, not after two; Node 24's does.)

// A browser waits 3 s before it reconnects, and the server says half of one; the test has no need to.
const timeout = globalThis.setTimeout;
globalThis.setTimeout = (call, ms, ...rest) => timeout(call, Math.min(ms ?? 0, 10), ...rest);

const { EventSource } = process.env.OWN ? globalThis : await import("eventsource");
const { Joined, main } = await import("./joining.mjs");

await main(
  (url) =>
    new Promise((resolve) => {
      const source = new EventSource(url);
      const joined = new Joined();
      let errors = 0;
      source.onmessage = (message) => joined.take(message.lastEventId, message.data);
      source.onerror = (error) => {
        errors += 1;
        if (source.readyState === EventSource.CLOSED) resolve({ ...joined, errors, code: error.code ?? null });
      };
    }),
);
