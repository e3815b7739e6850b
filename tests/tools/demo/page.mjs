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

const LONG_TASK_MS = 50;
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

    // What all of this would have cost: the sums go on while the page is open.
    await page.getByRole("link", { name: "Bill", exact: true }).click();
    const sum = page.locator(".bill .lead .figure");
    seen.bill = [await sum.textContent()];
    await page.locator(".bill .lead .figure", { hasNotText: seen.bill[0] }).waitFor();
    seen.bill.push(await sum.textContent());
    const card = (name) => page.getByRole("region", { name, exact: true });
    for (const [name, key] of [["By service", "services"], ["By context", "contexts"]]) {
      seen[key] = await card(name).locator("summary .what").allTextContents();
    }
    await card("By service").locator("summary", { hasText: "DynamoDB" }).click();
    seen.parts = await card("By service").locator("details[open] li .what").allTextContents();
    seen.unpriced = await card("Without a price").locator("li").allTextContents();
    seen.priced = await page.locator(".bill > .none").textContent();
    await look(page, "bill");

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
      for (const view of ["map", "trace", "letters", "alarms", "bill", "whatif", "act"]) {
        await other.goto(`${url}#/${view}`);
        await other.waitForTimeout(700);
        if (view === "bill") await other.locator(".bill").waitFor();
        await look(other, `${view}-${scheme}-${width}`);
      }
      await other.context().close();
    }
  },

  // Everybody outside the shop acts through its API: a customer's order is followed to its end.
  async part() {
    const page = await open({ colorScheme: "light" });
    await page.locator(".timebar select").selectOption("20");
    const tab = (name) => page.getByRole("link", { name, exact: true }).click();
    seen.said = {};
    const act = async (name, values, called = name) => {
      const form = page.getByRole("form", { name, exact: true });
      for (const [label, value] of Object.entries(values)) {
        const input = form.getByLabel(new RegExp(`^${label}`));
        if (await input.evaluate((element) => element.tagName) === "SELECT") await input.selectOption(value);
        else await input.fill(value);
      }
      const before = await form.locator(".outcome").count() && await form.locator(".outcome").elementHandle();
      if (name === "Cancel") await page.keyboard.press("Enter");
      else await form.getByRole("button", { name, exact: true }).click();
      if (before) await form.locator("button[aria-busy=true]").waitFor({ state: "attached" }).catch(() => {});
      await form.locator("button[aria-busy=false]").waitFor();
      await form.locator(".outcome").waitFor();
      seen.said[called] = await form.locator(".outcome").innerText();
      return form;
    };
    const until = async (type) => {
      await page.locator(".waterfall h3 button", { hasText: new RegExp(`^${type}`) }).first().waitFor();
      await tab("Take part");
    };

    await tab("Take part");
    const field = page.getByRole("form", { name: "Cancel", exact: true }).getByLabel(/^Order/);
    await field.focus();
    seen.focused = [await field.inputValue()];
    const newest = () => field.evaluate((input) => input.list.options[0]?.value);
    const earlier = await newest();
    const placed = await act("Order", { Customer: "me", Quantity: "2", "Who carries the parcel": "you" });
    while ((await newest()) === earlier) await page.waitForTimeout(50);
    seen.focused.push(await field.inputValue());
    const order = JSON.parse(await placed.locator("pre").textContent()).order_id;
    const follow = async (type) => {
      await page.goto(`${url}#/trace/${order}`);
      await until(type);
    };
    await placed.getByRole("link", { name: "Follow it" }).click();
    await until("ShipmentRequested");
    await act("Report about a parcel", { Order: order, Report: "picked_up" }, "picked up");
    await act("Report about a parcel", { Order: order, Report: "delivered", "Send it": "with a forged signature" }, "forged");
    await act("Report about a parcel", { Order: order, Report: "delivered", "Send it": "twice" }, "twice");
    await follow("OrderDelivered");
    await act("Cancel", { Order: order }, "too late");
    await act("Report about a payment", { Order: order, "Send it": "with a forged signature" }, "forged payment");
    await act("Report about a payment", { Order: order, Event: "the customer disputes it", "Send it": "twice" }, "dispute");
    await act("Report about a payment", { Order: order, Event: "the bank decides for the shop", "Send it": "once" }, "closed");
    await act("Return", { Order: order, "Who decides": "you" });
    await follow("ReturnRequested");
    await act("Decide about a return", { Order: order, Decision: "refuse" }, "decided");
    await follow("ReturnRefused");
    await act("Upload a file", {});
    await act("Order", { Customer: "me", Quantity: "0" }, "nothing");
    await act("Cancel", { Order: "o-unknown" }, "unknown");
    await look(page, "part");
    await page.getByRole("button", { name: "Audit" }).click();
    await page.locator(".result").waitFor();
    seen.balanced = await page.locator(".result h2").textContent();
    await page.getByRole("button", { name: "Close the result" }).click();

    // What if: two branches from a moment that is kept.
    await tab("What if");
    await page.getByRole("button", { name: "Keep this moment" }).click();
    const choice = (label) => page.getByRole("combobox", { name: new RegExp(`^${label}`) });
    await choice("From this moment").locator("option", { hasText: "kept" }).waitFor({ state: "attached" });
    await choice("From this moment").selectOption({ index: 1 });
    await choice("For").selectOption("600");
    await choice("Where").selectOption("Checkout/RunCheckout/Function");
    await look(page, "whatif-form");
    await page.locator(".faults button", { hasText: /^raises-on/ }).click();
    await page.locator(".comparison").waitFor({ timeout: 300_000 });
    seen.comparison = await page.locator(".comparison").innerText();
    await look(page, "whatif");
    await choice("The change").selectOption("seed");
    await choice("For").selectOption("60");
    await page.getByRole("button", { name: "Run both branches" }).click();
    await page.locator(".comparison h2", { hasText: "seed 1" }).waitFor({ timeout: 300_000 });
    await look(page, "whatif-seed");

    const other = await open({ colorScheme: "dark", viewport: { width: 400, height: 900 } });
    for (const view of ["act", "whatif"]) {
      await other.goto(`${url}#/${view}`);
      await other.locator(".card").first().waitFor();
      await look(other, `${view}-dark-400`);
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
    await page.locator(".panel .settings li").nth(1).waitFor();
    seen.settings = await page.locator(".panel .settings").innerText();
    seen.page = await page.getByRole("link", { name: "Its page in the catalogue" }).getAttribute("href");
    seen.panel = await page.locator(".panel h3").allTextContents();
    await page.getByRole("button", { name: "Show the last lines" }).click();
    seen.log = await page.locator(".panel .log").textContent();
    await look(page, "deployed-map");
    await page.getByRole("button", { name: "Close", exact: true }).click();
    seen.disabled = await page.locator(".banner").allTextContents();
    seen.stopped = await page.locator(".node", { hasText: "reads nothing" }).evaluateAll((all) => all.map((each) => each.title));
    await page.locator('[data-node][title="Returns/Workflow"]').click();
    await page.locator(".executions li summary").first().click();
    await page.locator(".executions p b").first().waitFor();
    seen.execution = await page.locator(".executions li").first().innerText();
    await page.getByRole("button", { name: /^Show the input/ }).first().click();
    await page.locator(".executions .input").waitFor();
    seen.input = await page.locator(".executions .input").textContent();
    await look(page, "deployed-workflow");
    await page.getByRole("button", { name: "Close", exact: true }).click();
    seen.controls = await page.locator(".timebar button, .timebar select, .timebar a").evaluateAll(
      (all) => all.map((each) => each.getAttribute("aria-label") ?? each.textContent.trim()));

    await page.getByRole("link", { name: "Traces" }).click();
    await page.locator("#search").fill(order);
    await page.locator(".found a", { hasText: "OrderPlaced" }).first().click();
    await page.locator(".waterfall h3 button", { hasText: /^OrderConfirmed/ }).first().waitFor();
    seen.trace = await page.locator(".waterfall h3 button").allTextContents();
    const older = page.getByRole("form", { name: "Older logs" });
    await older.getByRole("button").click();
    await page.locator(".notice", { hasText: "are read already" }).waitFor();
    if (seen.account.endsWith("read-only")) {
      await older.getByRole("combobox").selectOption("week");
      await older.getByRole("button").click();
      await page.locator(".older p", { hasText: "found about" }).waitFor({ timeout: 180_000 });
      seen.older = await page.locator(".older p").textContent();
    }
    await look(page, "deployed-trace");

    await page.getByRole("link", { name: /^Alarms/ }).click();
    await page.locator(".alarm-row.ALARM").first().waitFor();
    seen.alarms = await page.locator(".alarm-row.ALARM h2").allTextContents();
    await page.locator(".alarm-row.ALARM summary").first().click();
    await page.locator(".alarm-row.ALARM pre").first().waitFor();
    seen.runbook = await page.locator(".alarm-row.ALARM pre").first().textContent();
    await look(page, "deployed-alarms");

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
      await page.locator(".letter input").first().check();
      await page.getByRole("button", { name: "Redrive 1 chosen …" }).click();
      seen.chosen = await page.locator(".confirm p").first().textContent();
      await look(page, "deployed-chosen");
      await page.getByRole("button", { name: "Yes, do it" }).click();
      await page.locator(".queue .operations", { hasText: "messages moved: 1 of 1" }).first().waitFor();
      await page.locator(".queue > p", { hasText: /^1 message\. / }).waitFor();
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

  // A long recording opens at once, and what follows it is smooth. Other programs may slow each try.
  async long() {
    seen.opened = [];
    seen.busy = [];
    for (let time = 0; time < 3; time++) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage();
      await page.goto(url, { waitUntil: "commit" });
      const opened = await page.waitForFunction(() => {
        const number = document.querySelector(".bus .number")?.textContent ?? "";
        return Number(number.replaceAll(",", "")) > 0 && { after: performance.now(), number };
      });
      const { after, number } = await opened.jsonValue();
      seen.opened.push(Math.round(after));
      seen.published = number;
      await page.waitForTimeout(500);
      await browser.startTracing(page, { categories: ["disabled-by-default-devtools.timeline"] });
      const start = performance.now();
      await page.waitForTimeout(2000);
      const window = performance.now() - start;
      const { traceEvents } = JSON.parse(await browser.stopTracing());
      const main = traceEvents.find((each) => each.args?.name === "CrRendererMain" && traceEvents.some((other) => other.pid === each.pid && other.name === "FireAnimationFrame"));
      // The time of a thread, not that of a clock: what other programs take does not count.
      const tasks = traceEvents.filter((each) => each.name === "RunTask" && each.pid === main.pid && each.tid === main.tid).map((each) => (each.tdur ?? 0) / 1000);
      const long = tasks.filter((each) => each > LONG_TASK_MS);
      seen.tasks = tasks.length;
      seen.longest = Math.max(...tasks);
      seen.busy.push((100 * long.reduce((sum, each) => sum + each, 0)) / window);
      seen.later = await page.locator(".bus .number").first().textContent();
      await context.close();
      if (Math.min(...seen.opened) < 3000 && Math.min(...seen.busy) < 5) break;
    }
  },

  // Links lead to pages about the application, and to a moment.
  async links() {
    const page = await open({ colorScheme: "dark" });
    await page.locator('[data-node][title="Shop/Ship"]').click();
    const [site] = await Promise.all([
      page.context().waitForEvent("page"),
      page.getByRole("link", { name: "Its page in the catalogue" }).click(),
    ]);
    await site.locator("body").waitFor();
    seen.site = await site.locator("body").textContent();
    await site.close();
    seen.edge = await page.locator(".panel").getByRole("link", { name: "catalogue", exact: true }).getAttribute("href");
    await look(page, "links");

    await page.goto(`${url}#/alarms`);
    await page.locator(".alarm-row.ALARM").waitFor();
    seen.alarms = await page.locator(".alarm-row.ALARM h2").allTextContents();
    await page.locator(".alarm-row.ALARM summary").click();
    await page.locator(".alarm-row.ALARM pre").waitFor();
    seen.runbook = await page.locator(".alarm-row.ALARM pre").textContent();
    await look(page, "runbook");

    // A moment in the middle, with the chosen node.
    await page.goto(`${url}#/map/Shop%2FShip`);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator(".slider input").focus();
    await page.keyboard.press("Home");
    for (let press = 0; press < 6; press++) await page.keyboard.press("ArrowRight");
    const number = (where) => where.locator('[data-node][title="Shop/Ship"] .number').textContent();
    await page.waitForTimeout(400);
    seen.moment = [await page.locator(".now").textContent(), await number(page)];
    await page.getByRole("link", { name: "link", exact: true }).click();
    await page.locator(".notice", { hasText: "copied" }).waitFor();
    const address = await page.evaluate(() => navigator.clipboard.readText());
    const other = await open({});
    await other.goto(address);
    await other.locator(".panel h2", { hasText: "Ship" }).waitFor();
    await other.waitForTimeout(400);
    seen.shared = [await other.locator(".now").textContent(), await number(other)];
    seen.last = await (async () => { await other.getByRole("button", { name: /go live/ }).click(); await other.waitForTimeout(500); return number(other); })();
  },

  // Nothing is missing after the connection was lost: the first streams end early.
  async reconnect() {
    const context = await browser.newContext();
    const page = await context.newPage();
    let streams = 0;
    await page.route("**/stream?*", async (route) => {
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
} catch (error) {
  // What was seen until then helps to find the reason.
  process.stderr.write(`${JSON.stringify(seen)}\n`);
  throw error;
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
