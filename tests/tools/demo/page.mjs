// Uses the live page in a real browser and prints its observations as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [executablePath, url, plan, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const seen = { errors: [], violations: [], overflowing: [], requests: [] };

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
});

async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("dialog", (dialog) => { seen.errors.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) {
      seen.requests.push(request.url());
    }
  });
  await page.goto(url);
  await page.locator(".map .node").first().waitFor();
  return page;
}

let pictured = 0;
// Looks at a view: its accessibility, and whether it fits.
async function look(page, name) {
  // Evaluated by the driver, not by the page: the page's policy admits no script of others.
  const found = await page.evaluate(`${axe}; axe.run({ resultTypes: ["violations"] })`);
  for (const each of found.violations) {
    seen.violations.push(`${name}: ${each.id}: ${each.nodes.slice(0, 2).map((node) => node.html).join(" ")}`);
  }
  const [wide, window] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  if (wide > window) seen.overflowing.push(`${name}: ${wide} of ${window} pixels`);
  if (pictures) await page.screenshot({ path: `${pictures}/${String(++pictured).padStart(2, "0")}-${name}.png` });
}

// Returns the first messages of a stream.
async function beginningOf(address) {
  const aborted = new AbortController();
  const response = await fetch(address, { signal: aborted.signal });
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (/event: rows[^]*\n\n/.test(text)) break;
  }
  aborted.abort();
  return text.slice(0, text.lastIndexOf("\n\n") + 2);
}

const plans = {
  // The life of a failure: break, alarm, heal, rehearse, redrive, audit.
  async shop() {
    const page = await open({ colorScheme: "light" });
    await page.locator(".timebar select").selectOption("20");
    await look(page, "map");
    seen.stacks = await page.locator(".stack h2").allTextContents();

    const consumer = page.locator('[data-node][title="Checkout/RunCheckout/Function"]');
    await consumer.click();
    await page.getByRole("button", { name: "Show faults" }).click();
    await page.locator(".faults button", { hasText: /^raises-on/ }).click();
    await page.locator(".banner").waitFor();
    seen.banner = await page.locator(".banner").textContent();
    await look(page, "broken");
    await page.getByRole("button", { name: "Close", exact: true }).click();

    await page.locator(".stack .alarm").first().waitFor({ timeout: 240_000 });
    const parked = page.locator('[data-node][title="Checkout/RunCheckout/DeadLetters"].parked');
    await parked.waitFor({ timeout: 240_000 });
    await look(page, "parked");
    await page.getByRole("link", { name: /^Alarms/ }).click();
    await page.locator(".alarm-row.ALARM").first().waitFor();
    seen.alarms = await page.locator(".alarm-row.ALARM h2").allTextContents();
    await look(page, "alarms");

    await page.getByRole("button", { name: "Audit" }).click();
    await page.locator(".result").waitFor();
    seen.unbalanced = await page.locator(".result h2").textContent();
    await look(page, "unbalanced");
    await page.getByRole("button", { name: "Close the result" }).click();

    await page.getByRole("link", { name: /^Dead letters/ }).click();
    await page.locator(".letter").first().waitFor();
    seen.causes = await page.locator(".queue h3").allTextContents();
    await page.getByRole("button", { name: /^Rehearse/ }).click();
    await page.locator(".forecast", { hasText: "virtual time" }).waitFor();
    seen.doomed = await page.locator(".forecast").textContent();
    await page.getByRole("button", { name: "Heal all" }).click();
    await page.locator(".banner").waitFor({ state: "detached" });
    await page.getByRole("button", { name: /^Rehearse/ }).click();
    await page.locator(".forecast", { hasText: /✓/ }).waitFor();
    seen.promising = await page.locator(".forecast").textContent();
    await look(page, "letters");
    await page.locator(".letter").first().getByRole("link", { name: "Trace" }).click();
    await page.locator(".waterfall .bad").first().waitFor();
    seen.failed = await page.locator(".waterfall .bad").count();
    await look(page, "failed-trace");
    await page.getByRole("link", { name: /^Dead letters/ }).click();
    await page.getByRole("button", { name: /^Redrive/ }).click();
    await page.locator(".letters", { hasText: "dead-letter queues are empty" }).waitFor();
    await page.getByRole("button", { name: "Audit" }).click();
    await page.locator(".result").waitFor();
    seen.balanced = await page.locator(".result h2").textContent();
    await look(page, "balanced");
    await page.getByRole("button", { name: "Close the result" }).click();

    // Follow an order to its end.
    const order = JSON.parse(process.argv[6])[0];
    await page.getByRole("link", { name: "Traces" }).click();
    await page.locator("#search").fill(order);
    await page.locator(".found a", { hasText: "OrderPlaced" }).first().click();
    await page.locator(".waterfall h3 button", { hasText: /^OrderDelivered.v1$/ }).waitFor();
    seen.trace = await page.locator(".waterfall h3 button").allTextContents();
    const step = page.locator(".event li button", { hasText: "Inventory/ReserveStock" }).first();
    await step.click();
    seen.step = await page.locator(".event li pre").first().textContent();
    await look(page, "trace");

    // Time: pause, step, go back, replay, go live.
    await page.getByRole("link", { name: "Map", exact: true }).click();
    await page.getByRole("button", { name: "Pause the rehearsal" }).click();
    await page.locator(".state", { hasText: "paused" }).waitFor();
    const now = () => page.locator(".now").textContent();
    await page.waitForTimeout(1500);
    const before = await now();
    await page.waitForTimeout(500);
    seen.stopped = (await now()) === before;
    const total = () => page.locator(".slider input").evaluate((input) => Number(input.max));
    const rows = await total();
    await page.getByRole("button", { name: "Step" }).click();
    await page.waitForFunction((rows) => Number(document.querySelector(".slider input").max) > rows, rows);
    await page.locator(".slider input").focus();
    await page.keyboard.press("Home");
    await page.waitForTimeout(400);
    seen.start = await page.locator(".bus .number").textContent();
    await look(page, "start");
    await page.getByRole("button", { name: /go live/ }).click();
    await page.getByRole("button", { name: "Continue the rehearsal" }).click();
    await page.locator(".state:not(:has-text('paused'))").waitFor();

    for (const [scheme, width] of [["dark", 1280], ["dark", 400], ["light", 400], ["light", 2000]]) {
      const other = await open({ colorScheme: scheme, viewport: { width, height: 900 } });
      for (const view of ["map", "trace", "letters", "alarms"]) {
        await other.goto(`${url}#/${view}`);
        await other.waitForTimeout(700);
        await look(other, `${view}-${scheme}-${width}`);
      }
      await other.context().close();
    }
  },

  // An event with a script in every field does nothing.
  async script() {
    const page = await open({});
    await page.locator(".now").waitFor();
    await page.waitForTimeout(500);
    for (const node of await page.locator("[data-node]").all()) {
      await node.click();
      const faults = page.getByRole("button", { name: "Show faults" });
      await faults.click();
      await page.waitForTimeout(100);
      for (const recent of await page.locator(".recent button").all()) await recent.click();
      const logs = page.getByRole("button", { name: "Show the last lines" });
      if (await logs.count()) await logs.click();
      await page.getByRole("button", { name: "Close", exact: true }).click();
    }
    await page.goto(`${url}#/trace`);
    await page.locator(".found a").first().click();
    await page.locator(".waterfall .event").first().waitFor();
    for (const button of await page.locator(".event button").all()) await button.click();
    seen.text = await page.locator(".waterfall").textContent();
    await look(page, "script-trace");
    await page.goto(`${url}#/letters`);
    await page.locator(".letter").first().waitFor();
    await page.locator(".letter summary").first().click();
    seen.letter = await page.locator(".letter").first().textContent();
    await page.getByRole("button", { name: "Discard …" }).first().click();
    await page.getByLabel("Reason").fill("<script>document.title = 'hacked'</script>");
    await page.getByRole("button", { name: "Discard", exact: true }).click();
    await page.locator("h3", { hasText: "Discarded" }).waitFor();
    await page.getByRole("button", { name: "Greet" }).click();
    await page.locator(".result").waitFor();
    await look(page, "script");
    seen.title = await page.title();
    seen.scripts = await page.locator("script").count();
  },

  // A deployed application: its account, a trace, dead letters, and a redrive with a confirmation.
  async deployed() {
    const [order, letters] = process.argv.slice(6);
    const page = await open({});
    seen.account = await page.locator(".account summary").textContent();
    seen.problems = await page.locator(".problems li").allTextContents();
    await page.locator(".account summary").click();
    seen.leftOut = await page.locator(".account li").allTextContents();
    await look(page, "deployed-account");
    await page.locator(".account summary").click();
    await page.locator(".stack .alarm").first().waitFor();
    const handler = page.locator('[data-node][title="Checkout/RunCheckout/Function"]');
    await handler.locator(".number", { hasText: /[1-9]/ }).waitFor();
    seen.handled = await handler.locator(".number").textContent();
    seen.asked = await page.locator(".api .number").textContent();
    seen.events = await page.locator(".bus .number").textContent();
    await handler.click();
    seen.panel = await page.locator(".panel h3").allTextContents();
    await page.getByRole("button", { name: "Show the last lines" }).click();
    seen.log = await page.locator(".panel .log").textContent();
    await look(page, "deployed-map");
    await page.getByRole("button", { name: "Close", exact: true }).click();
    seen.controls = await page.locator(".timebar button, .timebar select, .timebar a").evaluateAll(
      (all) => all.map((each) => each.getAttribute("aria-label") ?? each.textContent.trim()));

    await page.getByRole("link", { name: "Traces" }).click();
    await page.locator("#search").fill(order);
    await page.locator(".found a", { hasText: "OrderPlaced" }).first().click();
    await page.locator(".waterfall h3 button", { hasText: /^OrderConfirmed/ }).first().waitFor();
    seen.trace = await page.locator(".waterfall h3 button").allTextContents();
    await look(page, "deployed-trace");

    await page.getByRole("link", { name: /^Alarms/ }).click();
    await page.locator(".alarm-row.ALARM").first().waitFor();
    seen.alarms = await page.locator(".alarm-row.ALARM h2").allTextContents();

    await page.getByRole("link", { name: /^Dead letters/ }).click();
    await page.locator(".found a", { hasText: letters }).click();
    await page.locator(".queue .none").first().waitFor();
    seen.queue = await page.locator(".queue").textContent();
    const redrive = page.getByRole("button", { name: "Redrive all …" });
    seen.operates = await redrive.count();
    if (seen.operates) {
      await page.getByRole("button", { name: /^Receive the messages/ }).click();
      await page.locator(".letter").first().waitFor();
      seen.letter = await page.locator(".letter").first().textContent();
      await redrive.click();
      seen.plan = await page.locator(".confirm p").first().textContent();
      await look(page, "deployed-confirm");
      await page.getByRole("button", { name: "Yes, do it" }).click();
      await page.locator(".queue .operations", { hasText: "messages moved: 1, completed" }).first().waitFor();
      seen.done = await page.locator(".queue .operations").textContent();
      await page.locator(".queue", { hasText: "0 messages." }).waitFor();
      await look(page, "deployed-redriven");
      await page.getByRole("link", { name: "Map", exact: true }).click();
      await handler.locator(".number", { hasNotText: new RegExp(`^${seen.handled}$`) }).waitFor();
    }
    const narrow = await open({ colorScheme: "dark", viewport: { width: 400, height: 900 } });
    for (const view of ["map", "trace", "letters", "alarms"]) {
      await narrow.goto(`${url}#/${view}`);
      await narrow.waitForTimeout(500);
      await look(narrow, `deployed-${view}-400`);
    }
  },

  // Nothing is missing after the connection was lost: the first streams end early.
  async reconnect() {
    const context = await browser.newContext();
    const page = await context.newPage();
    let streams = 0;
    await page.route("**/stream", async (route) => {
      if (++streams > 2) return route.continue();
      // The second one is lost before its place arrives, so that the third one repeats its rows.
      const beginning = await beginningOf(`${url}stream`);
      const body = streams === 1 ? beginning : beginning.replaceAll(/^id: .*\n/gm, "");
      return route.fulfill({ contentType: "text/event-stream", body });
    });
    const number = page.locator('[data-node][title="Shop/Ship"] .number');
    await page.goto(url);
    await number.waitFor();
    seen.before = await number.textContent();
    await page.locator('[data-node][title="Shop/Ship"] .number', { hasText: /^50$/ }).waitFor({ timeout: 60_000 });
    await page.waitForTimeout(1000);
    seen.after = await number.textContent();
    seen.streams = streams;
  },
};

try {
  await plans[plan]();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
