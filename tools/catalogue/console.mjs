// Draws the console in a browser while the demo runs: one consumer fails, the rest carries on.
import { chromium } from "playwright-core";

const [executablePath, url, file] = process.argv.slice(2);
const EVENTS = 2500;
const CONSUMER = "Checkout/RunCheckout/Function";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage({ viewport: { width: 1360, height: 880 }, colorScheme: "light" });
  page.setDefaultTimeout(600_000);
  await page.goto(url);
  await page.waitForFunction((events) => {
    const number = document.querySelector(".bus .number")?.textContent ?? "";
    return Number(number.replaceAll(",", "")) > events;
  }, EVENTS);
  await page.locator(`[data-node][title="${CONSUMER}"]`).click();
  await page.getByRole("button", { name: "Show faults" }).click();
  await page.locator(".faults button", { hasText: /^raises-on/ }).click();
  await page.locator(".banner").waitFor();
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await page.locator(`[data-node][title="${CONSUMER}"]`).click();
  await page.locator(`[data-node][title="${CONSUMER}"] .failed`, { hasText: /✕[3-9]|✕\d\d/ }).waitFor();
  await page.screenshot({ path: file });
} finally {
  await browser.close();
}
