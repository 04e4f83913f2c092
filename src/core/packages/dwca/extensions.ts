/** A row type of Darwin Core, or of another vocabulary, with its terms. */
export interface Extension {
  /** As GBIF's extension definition has it: `Occurrence`. */
  readonly name: string;
  readonly rowType: string;
  /** Name → term URI. */
  readonly terms: ReadonlyMap<string, string>;
}

const DWC = "http://rs.tdwg.org/dwc/terms/";
const DC = "http://purl.org/dc/terms/";

/** Record level and occurrence terms of Darwin Core (dwc.tdwg.org/terms, read November 2026), by class. */
const OCCURRENCE = `
  institutionID collectionID datasetID institutionCode collectionCode datasetName ownerInstitutionCode basisOfRecord
  informationWithheld dataGeneralizations dynamicProperties
  occurrenceID catalogNumber recordNumber recordedBy recordedByID individualCount organismQuantity organismQuantityType
  sex lifeStage reproductiveCondition caste behavior vitality establishmentMeans degreeOfEstablishment pathway
  georeferenceVerificationStatus occurrenceStatus preparations disposition associatedMedia associatedOccurrences
  associatedReferences associatedSequences associatedTaxa otherCatalogNumbers occurrenceRemarks
  organismID organismName organismScope associatedOrganisms previousIdentifications organismRemarks
  materialSampleID materialEntityID materialEntityRemarks verbatimLabel
  eventID parentEventID eventType fieldNumber eventDate eventTime startDayOfYear endDayOfYear year month day
  verbatimEventDate habitat samplingProtocol sampleSizeValue sampleSizeUnit samplingEffort fieldNotes eventRemarks
  locationID higherGeographyID higherGeography continent waterBody islandGroup island country countryCode stateProvince
  county municipality locality verbatimLocality minimumElevationInMeters maximumElevationInMeters verbatimElevation
  verticalDatum minimumDepthInMeters maximumDepthInMeters verbatimDepth minimumDistanceAboveSurfaceInMeters
  maximumDistanceAboveSurfaceInMeters locationAccordingTo locationRemarks decimalLatitude decimalLongitude geodeticDatum
  coordinateUncertaintyInMeters coordinatePrecision pointRadiusSpatialFit verbatimCoordinates verbatimLatitude
  verbatimLongitude verbatimCoordinateSystem verbatimSRS footprintWKT footprintSRS footprintSpatialFit georeferencedBy
  georeferencedDate georeferenceProtocol georeferenceSources georeferenceRemarks
  geologicalContextID earliestEonOrLowestEonothem latestEonOrHighestEonothem earliestEraOrLowestErathem
  latestEraOrHighestErathem earliestPeriodOrLowestSystem latestPeriodOrHighestSystem earliestEpochOrLowestSeries
  latestEpochOrHighestSeries earliestAgeOrLowestStage latestAgeOrHighestStage lowestBiostratigraphicZone
  highestBiostratigraphicZone lithostratigraphicTerms group formation member bed
  identificationID verbatimIdentification identificationQualifier typeStatus identifiedBy identifiedByID dateIdentified
  identificationReferences identificationVerificationStatus identificationRemarks
  taxonID scientificNameID acceptedNameUsageID parentNameUsageID originalNameUsageID nameAccordingToID namePublishedInID
  taxonConceptID scientificName acceptedNameUsage parentNameUsage originalNameUsage nameAccordingTo namePublishedIn
  namePublishedInYear higherClassification kingdom phylum class order superfamily family subfamily tribe subtribe genus
  genericName subgenus infragenericEpithet specificEpithet infraspecificEpithet cultivarEpithet taxonRank
  verbatimTaxonRank scientificNameAuthorship vernacularName nomenclaturalCode taxonomicStatus nomenclaturalStatus
  taxonRemarks`;

/** Dublin Core terms that Darwin Core borrows for its records. */
const OCCURRENCE_DC = "type modified language license rightsHolder accessRights bibliographicCitation references";

const MEASUREMENT = `measurementID measurementType measurementValue measurementAccuracy measurementUnit
  measurementDeterminedDate measurementDeterminedBy measurementMethod measurementRemarks`;

/** GBIF's Simple Multimedia extension. */
const MULTIMEDIA = `type format identifier references title description created creator contributor publisher audience
  source license rightsHolder`;

/** What can be named in the settings without a file. */
export const BUILT_IN: Readonly<Record<string, Extension>> = {
  Occurrence: {
    name: "Occurrence",
    rowType: `${DWC}Occurrence`,
    terms: new Map([...terms(OCCURRENCE_DC, DC), ...terms(OCCURRENCE, DWC)]),
  },
  MeasurementOrFact: {
    name: "MeasurementOrFact",
    rowType: `${DWC}MeasurementOrFact`,
    terms: new Map(terms(MEASUREMENT, DWC)),
  },
  Multimedia: {
    name: "Multimedia",
    rowType: "http://rs.gbif.org/terms/1.0/Multimedia",
    terms: new Map(terms(MULTIMEDIA, DC)),
  },
};

function terms(names: string, namespace: string): [name: string, uri: string][] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, `${namespace}${name}`]);
}
