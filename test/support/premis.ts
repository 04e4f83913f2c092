/**
 * Children of each element that we write, in the order of the PREMIS 3 schema (Data Dictionary for Preservation Metadata,
 * version 3.0, and its XML schema premis-v3-0); those with `!` are mandatory.
 */
export const PREMIS_ORDER: Readonly<Record<string, readonly string[]>> = {
  premis: ["object!", "event", "agent", "rights"],
  object: [
    "objectIdentifier!",
    "preservationLevel",
    "significantProperties",
    "objectCharacteristics",
    "originalName",
    "storage",
    "signatureInformation",
    "environmentFunction",
    "relationship",
    "linkingEventIdentifier",
    "linkingRightsStatementIdentifier",
  ],
  objectIdentifier: ["objectIdentifierType!", "objectIdentifierValue!"],
  significantProperties: ["significantPropertiesType", "significantPropertiesValue", "significantPropertiesExtension"],
  objectCharacteristics: ["compositionLevel", "fixity", "size", "format!", "creatingApplication", "inhibitors"],
  fixity: ["messageDigestAlgorithm!", "messageDigest!", "messageDigestOriginator"],
  format: ["formatDesignation", "formatRegistry", "formatNote"],
  formatDesignation: ["formatName!", "formatVersion"],
  relationship: ["relationshipType!", "relationshipSubType!", "relatedObjectIdentifier!", "relatedEventIdentifier"],
  relatedObjectIdentifier: ["relatedObjectIdentifierType!", "relatedObjectIdentifierValue!"],
  event: [
    "eventIdentifier!",
    "eventType!",
    "eventDateTime!",
    "eventDetailInformation",
    "eventOutcomeInformation",
    "linkingAgentIdentifier",
    "linkingObjectIdentifier",
  ],
  eventIdentifier: ["eventIdentifierType!", "eventIdentifierValue!"],
  eventOutcomeInformation: ["eventOutcome", "eventOutcomeDetail"],
  eventOutcomeDetail: ["eventOutcomeDetailNote", "eventOutcomeDetailExtension"],
  linkingAgentIdentifier: ["linkingAgentIdentifierType!", "linkingAgentIdentifierValue!", "linkingAgentRole"],
  linkingObjectIdentifier: ["linkingObjectIdentifierType!", "linkingObjectIdentifierValue!", "linkingObjectRole"],
  agent: ["agentIdentifier!", "agentName", "agentType", "agentVersion", "agentNote"],
  agentIdentifier: ["agentIdentifierType!", "agentIdentifierValue!"],
};

/** Some labels of https://id.loc.gov/vocabulary/preservation/eventType. */
export const EVENT_VOCABULARY_LABELS: readonly string[] = [
  "deletion",
  "fixity check",
  "ingestion",
  "message digest calculation",
  "migration",
  "replication",
];
