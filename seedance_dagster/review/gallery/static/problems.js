"use strict";

/** Return what is wrong, in the gallery's words: the page of a proxy in front of it is not shown. */
async function problemOf(reply) {
  if (!reply) return "The gallery does not answer.";
  const isOurs = reply.headers.get("Content-Type")?.startsWith("text/plain");
  return (isOurs && (await reply.text()).trim()) || `The gallery answered ${reply.status}.`;
}
