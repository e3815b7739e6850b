// Visits pages of the catalogue in a real browser, offline, and prints its observations as JSON.
import { chromium } from "playwright-core";

const [executablePath, address] = process.argv.slice(2);
const pages = JSON.parse(process.argv[4]);
const seen = { errors: [], requests: [], overflowing: [] };

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
});
try {
  const context = await browser.newContext({ colorScheme: "light" });
  await context.setOffline(true);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("requestfailed", (request) => seen.errors.push(`${request.url()} cannot be loaded`));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) seen.requests.push(request.url());
  });

  // The map shows the consumers of an event and links to its page.
  await page.goto(`${address}/index.html`);
  const row = page.locator('.map [data-row="OrderConfirmed.v2"]');
  await row.hover();
  seen.highlighted = await page.locator(".map .line.on").evaluateAll((lines) =>
    lines.map((line) => [line.dataset.from, line.dataset.to]));
  await row.click();
  seen.event = await page.locator("h1").textContent();

  // From the event to its consumer and back.
  await page.locator("section.consumer h3 a", { hasText: "request_shipment" }).click();
  seen.consumer = await page.locator("h1").textContent();
  await page.locator("main a.event", { hasText: "OrderConfirmed.v2" }).click();
  seen.back = await page.locator("h1").textContent();

  // Search with the keyboard only, once the page's script has run.
  await page.waitForLoadState("load");
  await page.keyboard.press("/");
  await page.keyboard.type("release closed");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/functions/**");
  seen.found = await page.locator("h1").textContent();

  // The dark theme stays on the next page.
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.locator("#theme").click();
  await page.goto(`${address}/events/index.html`);
  seen.dark = (await paper()) !== light;

  // No content overflows a narrow window.
  await page.setViewportSize({ width: 390, height: 800 });
  for (const path of pages) {
    await page.goto(`${address}/${path}`);
    const width = await page.evaluate(() => document.scrollingElement.scrollWidth);
    if (width > 390) seen.overflowing.push(`${path}: ${width} pixels wide`);
  }
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
