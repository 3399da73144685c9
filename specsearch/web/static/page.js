"use strict";
// Drop a file, say that something is going on, copy a link: the page works without any of it.
const busy = document.getElementById("busy");
document.addEventListener("submit", () => { busy.hidden = false; });
document.addEventListener("click", event => {
  const link = event.target.closest("a[href]");
  const leaves = link && !link.hasAttribute("download") && !link.getAttribute("href").startsWith("#");
  if (leaves && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) busy.hidden = false;
});
window.addEventListener("pageshow", () => { busy.hidden = true; });

const drop = document.querySelector(".drop");
if (drop) {
  const input = drop.querySelector("input"), name = drop.querySelector("[data-file-name]");
  const chosen = () => { if (input.files.length) name.textContent = input.files[0].name; };
  const fault = drop.parentElement.querySelector("[data-file-fault]"), most = Number(input.dataset.mostBytes);
  const send = () => {
    chosen();
    // The server would hang up in the middle of it, and the browser would not say why.
    const isTooLarge = input.files.length && input.files[0].size > most;
    fault.textContent = isTooLarge ? `This file is too large: at most ${most / 2 ** 20} MiB at once. For all of it, use the command line.` : "";
    if (!isTooLarge) input.form.requestSubmit();
  };
  input.addEventListener("change", send);
  drop.parentElement.querySelector("[data-without-script]").hidden = true;
  // Anywhere on the page, so that a near miss does not open the file instead.
  document.addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    send();
  });
}
document.querySelectorAll("[data-copy-link]").forEach(button => button.addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(location.href); button.textContent = "Link copied"; }
  catch { button.textContent = "Copy it from the address bar"; }
}));
