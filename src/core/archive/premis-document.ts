import { canonicalJson } from "../access/audit.ts";
import type { ArchivedFile, Transaction } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import { objectId } from "./ocfl.ts";
import type { PreservationEvent } from "./premis-events.ts";

/** Of PREMIS 3: https://www.loc.gov/standards/premis/v3/ */
export const PREMIS_NAMESPACE = "http://www.loc.gov/premis/v3";
const EVENT_VOCABULARY = 'authority="eventType" authorityURI="http://id.loc.gov/vocabulary/preservation/eventType"';
const OUTCOME_VOCABULARY =
  'authority="eventOutcome" authorityURI="http://id.loc.gov/vocabulary/preservation/eventOutcome"';
/** In the vocabulary's words. */
const OUTCOMES = { success: "success", failure: "fail" } as const;

export interface PremisParts {
  readonly transaction: Transaction;
  /** In id order. */
  readonly files: AsyncIterable<ArchivedFile>;
  readonly events: AsyncIterable<PreservationEvent>;
}

/**
 * A transaction as a PREMIS 3 document: itself as an intellectual entity, each of its files with size, format and digests,
 * all its events, and who and what brought these about. In pieces; memory is that of the agents.
 */
export async function* premisDocument({ transaction, files, events }: PremisParts): AsyncGenerator<string> {
  const own = objectId(transaction.id);
  yield '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<premis xmlns="${PREMIS_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0">\n` +
    `  <object xsi:type="intellectualEntity">\n${identifier("object", "longshore", own)}` +
    significant("files", String(transaction.fileCount)) +
    significant("bytes", String(transaction.sizeBytes)) +
    "  </object>\n";
  for await (const file of files) yield fileObject(file, own);
  const agents = new Map<string, string>();
  for await (const event of events) {
    agents.set(`principal:${event.actor}`, principalAgent(event.actor));
    if (event.software !== null) agents.set(event.software, softwareAgent(event.software));
    yield eventElement(event, own);
  }
  yield [...agents.values()].join("");
  yield "</premis>\n";
}

function fileObject({ id, path, sizeBytes, mediaType, digests }: ArchivedFile, own: string): string {
  const fixity = Object.entries(digests).map(
    ([algorithm, digest]) =>
      "      <fixity>\n" +
      `        <messageDigestAlgorithm>${xmlText(algorithm)}</messageDigestAlgorithm>\n` +
      `        <messageDigest>${xmlText(digest)}</messageDigest>\n` +
      "      </fixity>\n",
  );
  return (
    `  <object xsi:type="file">\n${identifier("object", "longshore", fileIdentifier(id))}` +
    "    <objectCharacteristics>\n" +
    fixity.join("") +
    `      <size>${sizeBytes}</size>\n` +
    `      <format>\n        <formatDesignation>\n          <formatName>${xmlText(mediaType)}</formatName>\n        </formatDesignation>\n      </format>\n` +
    "    </objectCharacteristics>\n" +
    `    <originalName>${xmlText(path)}</originalName>\n` +
    "    <relationship>\n" +
    "      <relationshipType>structural</relationshipType>\n" +
    "      <relationshipSubType>is part of</relationshipSubType>\n" +
    "      <relatedObjectIdentifier>\n" +
    "        <relatedObjectIdentifierType>longshore</relatedObjectIdentifierType>\n" +
    `        <relatedObjectIdentifierValue>${xmlText(own)}</relatedObjectIdentifierValue>\n` +
    "      </relatedObjectIdentifier>\n" +
    "    </relationship>\n" +
    "  </object>\n"
  );
}

const fileIdentifier = (id: number) => `longshore:file:${id}`;

function eventElement(event: PreservationEvent, own: string): string {
  const { seq, type, at, actor, software, outcome, details } = event;
  const note = Object.keys(details).length === 0 ? "" : canonicalJson(details);
  return (
    `  <event>\n${identifier("event", "longshore-audit", String(seq))}` +
    `    <eventType ${EVENT_VOCABULARY}>${type}</eventType>\n` +
    `    <eventDateTime>${isoTime(at)}</eventDateTime>\n` +
    "    <eventOutcomeInformation>\n" +
    `      <eventOutcome ${OUTCOME_VOCABULARY}>${OUTCOMES[outcome]}</eventOutcome>\n` +
    (note === ""
      ? ""
      : `      <eventOutcomeDetail>\n        <eventOutcomeDetailNote>${xmlText(note)}</eventOutcomeDetailNote>\n      </eventOutcomeDetail>\n`) +
    "    </eventOutcomeInformation>\n" +
    linkingAgent("longshore-principal", actor, "implementer") +
    (software === null ? "" : linkingAgent("software", software, "executing program")) +
    "    <linkingObjectIdentifier>\n" +
    "      <linkingObjectIdentifierType>longshore</linkingObjectIdentifierType>\n" +
    `      <linkingObjectIdentifierValue>${xmlText(own)}</linkingObjectIdentifierValue>\n` +
    "    </linkingObjectIdentifier>\n" +
    "  </event>\n"
  );
}

function linkingAgent(type: string, value: string, role: string): string {
  return (
    "    <linkingAgentIdentifier>\n" +
    `      <linkingAgentIdentifierType>${type}</linkingAgentIdentifierType>\n` +
    `      <linkingAgentIdentifierValue>${xmlText(value)}</linkingAgentIdentifierValue>\n` +
    `      <linkingAgentRole>${role}</linkingAgentRole>\n` +
    "    </linkingAgentIdentifier>\n"
  );
}

/** A person, or a program that has a token: a principal's name does not tell which. */
function principalAgent(name: string): string {
  return `  <agent>\n${identifier("agent", "longshore-principal", name)}    <agentName>${xmlText(name)}</agentName>\n  </agent>\n`;
}

function softwareAgent(software: string): string {
  const at = software.lastIndexOf("/");
  const [name, version] = at < 1 ? [software, undefined] : [software.slice(0, at), software.slice(at + 1)];
  return (
    `  <agent>\n${identifier("agent", "software", software)}` +
    `    <agentName>${xmlText(name)}</agentName>\n` +
    "    <agentType>software</agentType>\n" +
    (version === undefined ? "" : `    <agentVersion>${xmlText(version)}</agentVersion>\n`) +
    "  </agent>\n"
  );
}

function identifier(of: "object" | "event" | "agent", type: string, value: string): string {
  return (
    `    <${of}Identifier>\n` +
    `      <${of}IdentifierType>${type}</${of}IdentifierType>\n` +
    `      <${of}IdentifierValue>${xmlText(value)}</${of}IdentifierValue>\n` +
    `    </${of}Identifier>\n`
  );
}

function significant(type: string, value: string): string {
  return (
    "    <significantProperties>\n" +
    `      <significantPropertiesType>${type}</significantPropertiesType>\n` +
    `      <significantPropertiesValue>${value}</significantPropertiesValue>\n` +
    "    </significantProperties>\n"
  );
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;" };

/**
 * Character data of XML 1.0 §2.2 and §2.4. What no XML document can hold, such as U+0000, is spelled out as `\\u0000`: names
 * are a depositor's, and the document has to be well-formed whatever they are.
 */
export function xmlText(text: string): string {
  return text.replace(/[&<>]|[\p{Cc}\p{Cs}\ufffe\uffff]/gu, (char) => {
    if (char === "\t" || char === "\n") return char;
    return ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
