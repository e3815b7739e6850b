// The connection with the server: commands, questions, and the stream of what happens.

// Relative to the page, whose address begins with the token.
export async function ask(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

export async function numbers(path) {
  return new Float64Array(await (await fetch(path, { cache: "no-store" })).arrayBuffer());
}

// Lets the rehearsal carry out a command; returns its value or throws its error.
export async function command(name, args = {}) {
  const answer = await ask("command", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ do: name, ...args }),
  });
  if (answer.error) throw new Error(answer.error);
  return answer.value;
}

// Follows the stream. The browser connects again by itself, and continues where it was.
export function follow(place, { rows, status, connection }) {
  const source = new EventSource(`stream?after=${place}`);
  source.addEventListener("rows", (event) => rows(JSON.parse(event.data)));
  source.addEventListener("status", (event) => status(JSON.parse(event.data)));
  source.addEventListener("open", () => connection("connected"));
  source.addEventListener("error", () => {
    connection(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting");
  });
  return source;
}
