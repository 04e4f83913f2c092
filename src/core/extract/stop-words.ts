/** English words that carry no subject: they part phrases. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about above across after again against all almost alone along already also although always am among an and another any
  anyone anything are aren't around as at away be became because become becomes been before behind being below between both
  but by can can't cannot could couldn't did didn't do does doesn't doing don't done down due during each either else
  enough especially etc even ever every everything few first for from further furthermore gave get gets give given gives go
  goes going got had hadn't has hasn't have haven't having he hence her here hers herself him himself his how however i i'm
  i've if in indeed instead into is isn't it it's its itself just keep kept last later least less let like likely made
  mainly make makes many may maybe me mean means meanwhile might more moreover most mostly much must mustn't my myself near
  nearly neither never nevertheless next no nobody none nor not nothing now of off often on once one only onto or other
  others otherwise our ours ourselves out over own per perhaps put quite rather really same say see seem seemed seems
  several shall she should shouldn't show shown shows since so some something sometimes somewhat soon still such take taken
  than that that's the their theirs them themselves then there there's therefore these they they're this those though
  through throughout thus to together too toward towards two under unless until up upon us use used uses using usually
  various very via was wasn't way we we're well were weren't what whatever when where whereas whether which while who whole
  whom whose why will with within without won't would wouldn't yes yet you you're your yours yourself`.split(/\s+/),
);
