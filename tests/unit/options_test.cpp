// SPDX-License-Identifier: BSD-2-Clause
// The command line: what each flag means, and what each mistake is answered with.
#include "cli/options.h"

#include <span>
#include <sstream>

#include "cli/help.h"
#include "command_line.h"

namespace tcptrail {
namespace {

using test::bad;
using test::good;
using test::parse;
using Strings = std::vector<std::string>;

TEST(Options, NoCommandIsLife) {
  const Options o = good({});
  EXPECT_EQ(o.command, Command::kLife);
  EXPECT_EQ(o.format, Format::kText);
  EXPECT_EQ(o.events, (EventSet{.connection = true, .blocked = true}));
  EXPECT_TRUE(o.given_filters.empty());
  EXPECT_FALSE(o.filters.in_tree);
}

TEST(Options, CommandMayStandBeforeBetweenAndAfterFlags) {
  for (const auto& words : {std::vector<const char*>{"trace", "-p", "1", "-4"},
                            {"-p", "1", "trace", "-4"},
                            {"-4", "-p", "1", "trace"}}) {
    const Options o = good(words);
    EXPECT_EQ(o.command, Command::kTrace);
    EXPECT_EQ(o.filters.pids, std::vector<std::uint32_t>{1});
    EXPECT_EQ(o.filters.family, FamilyFilter::kIpv4);
  }
  EXPECT_EQ(good({"doctor"}).command, Command::kDoctor);
  EXPECT_EQ(good({"schema"}).command, Command::kSchema);
}

TEST(Options, LettersOfTcplifeKeepTheirMeaning) {
  const Options o =
      good({"-p", "12,7", "-L", "80,443,8000-8099", "-D", "5432", "-6", "-T", "-t", "-w", "-s"});
  EXPECT_EQ(o.filters.pids, (std::vector<std::uint32_t>{7, 12}));
  EXPECT_EQ(o.filters.lports.ranges, (std::vector<PortRange>{{80, 80}, {443, 443}, {8000, 8099}}));
  EXPECT_EQ(o.filters.rports.ranges, (std::vector<PortRange>{{5432, 5432}}));
  EXPECT_EQ(o.filters.family, FamilyFilter::kIpv6);
  EXPECT_TRUE(o.local_time && o.timestamps && o.wide);
  EXPECT_EQ(o.format, Format::kCsv);
}

TEST(Options, ShortFlagsCanBeJoined) {
  const Options o = good({"-tTw4", "-p12", "-L80"});
  EXPECT_TRUE(o.local_time && o.timestamps && o.wide);
  EXPECT_EQ(o.filters.pids, std::vector<std::uint32_t>{12});
  EXPECT_EQ(o.filters.family, FamilyFilter::kIpv4);
}

TEST(Options, BothFamiliesAreBoth) {
  EXPECT_EQ(good({"-4", "-6"}).filters.family, FamilyFilter::kBoth);
}

TEST(Options, ListsAccumulate) {
  const Options o = good({"-p", "1", "-p", "3,2", "--label", "a=1", "--label", "b=x=y", "--label",
                          "a=2", "--netns", "blue,red", "--netns", "4026531840", "--deny-feature",
                          "tp_btf", "--deny-feature", "iter_tcp,ehash_walk"});
  EXPECT_EQ(o.filters.pids, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_EQ(o.labels, (std::vector<std::pair<std::string, std::string>>{{"b", "x=y"}, {"a", "2"}}));
  EXPECT_EQ(o.netns, (Strings{"blue", "red", "4026531840"}));
  EXPECT_EQ(o.denied_features, (Strings{"tp_btf", "iter_tcp", "ehash_walk"}));
}

TEST(Options, TheLastOfAScalarCounts) {
  EXPECT_EQ(good({"--count", "1", "--count", "5"}).count, 5U);
}

TEST(Options, FiltersAreConverted) {
  const Options o = good({"--comm", "ngin*", "--laddr", "10.0.0.0/8", "--raddr", "::1", "--uid",
                          "1000", "--closed-by", "remote", "--how", "rst-sent,timeout", "--min-ms",
                          "1.5", "--errors", "--cgroup", "/a/b"});
  EXPECT_EQ(o.filters.comm_glob, "ngin*");
  EXPECT_EQ(o.filters.laddrs.at(0).length, 8U);
  EXPECT_EQ(o.filters.raddrs.at(0).family, Family::kIpv6);
  EXPECT_EQ(o.filters.uid, 1000U);
  EXPECT_EQ(o.filters.closed_by, std::vector<Closer>{Closer::kRemote});
  EXPECT_EQ(o.filters.how, (std::vector<How>{How::kRstSent, How::kTimeout}));
  EXPECT_EQ(o.filters.min_duration_ns, 1'500'000U);
  EXPECT_TRUE(o.filters.errors_only);
  EXPECT_EQ(o.cgroup, "/a/b");
}

TEST(Options, GlobInBracketsIsNotTakenForAList) {
  EXPECT_EQ(good({"--comm", "[a,b]"}).filters.comm_glob, "[a,b]");
}

TEST(Options, FiltersAreKeptAsGivenForTheStartupRecord) {
  const Options o =
      good({"-L", "80", "-L", "443", "-6", "--closed-by", "local", "--errors", "--for", "1s"});
  EXPECT_EQ(
      o.given_filters,
      (std::vector<std::pair<std::string, std::string>>{
          {"lport", "80,443"}, {"closed_by", "local"}, {"family", "ipv6"}, {"errors", "true"}}));
}

TEST(Options, RunFlagsAreConverted) {
  const Options o =
      good({"--for", "500ms", "--count", "10", "--ring-size", "4M", "--fail-on-loss",
            "--no-snapshot", "-v", "-v", "-o", "out.jsonl", "--json", "--color", "never"});
  EXPECT_EQ(o.run_for_ns, 500'000'000U);
  EXPECT_EQ(o.count, 10U);
  EXPECT_EQ(o.ring_bytes, 4U << 20U);
  EXPECT_TRUE(o.fail_on_loss && o.no_snapshot);
  EXPECT_EQ(o.verbose, 2U);
  EXPECT_EQ(o.output, "out.jsonl");
  EXPECT_EQ(o.format, Format::kJson);
  EXPECT_EQ(o.color, ColorMode::kNever);
}

TEST(Options, MaxConnectionsHasBounds) {
  EXPECT_EQ(good({}).max_connections, 1'048'576U);
  EXPECT_EQ(good({"--max-connections", "1000"}).max_connections, 1'000U);
  EXPECT_EQ(good({"--max-connections", "16777216"}).max_connections, 16'777'216U);
  for (const char* text : {"999", "16777217", "many", "-1"})
    EXPECT_NE(bad({"--max-connections", text}).find("bad value for --max-connections"),
              std::string::npos)
        << text;
}

TEST(Options, EverythingAfterTheDashesIsTheCommandUntouched) {
  const Options o =
      good({"trace", "--json", "--", "curl", "--json", "-p", "--", "-h", "--nonsense"});
  EXPECT_EQ(o.child, (Strings{"curl", "--json", "-p", "--", "-h", "--nonsense"}));
  EXPECT_TRUE(o.filters.in_tree);
  EXPECT_EQ(o.format, Format::kJson);
  EXPECT_TRUE(o.filters.pids.empty());
}

TEST(Options, EventsReplaceWhatTheCommandPrints) {
  EXPECT_EQ(good({"trace"}).events,
            (EventSet{.transition = true, .time_wait = true, .blocked = true}));
  EXPECT_EQ(good({"--events", "transition,connection"}).events,
            (EventSet{.transition = true, .connection = true}));
  EXPECT_EQ(good({"--json", "--events", "all"}).events, (EventSet{true, true, true, true}));
}

TEST(Options, ColumnsAreCheckedAgainstTheTableOfTheView) {
  EXPECT_EQ(good({"--columns", "PID,CLOSER"}).life_columns,
            (Columns{find_column(Table::kLife, "PID"), find_column(Table::kLife, "CLOSER")}));
  EXPECT_EQ(good({"trace", "--columns", "PID,NEWSTATE"}).trace_columns.size(), 2U);
  EXPECT_EQ(good({"--columns", "+UID"}).life_columns.size(), 13U);
  EXPECT_NE(bad({"trace", "--columns", "PID,CLOSER"}).find("unknown column CLOSER"),
            std::string::npos);
}

TEST(OptionsError, MistypedFlagSuggestsTheRightOne) {
  EXPECT_EQ(bad({"--jsno"}), "tcptrail: error: unknown flag --jsno\n  fix: did you mean --json?\n");
  EXPECT_NE(bad({"--lports", "80"}).find("did you mean --lport?"), std::string::npos);
  EXPECT_NE(bad({"--colour=always"}).find("unknown flag --colour\n  fix: did you mean --color?"),
            std::string::npos);
  EXPECT_NE(bad({"-json"}).find("did you mean --json?"), std::string::npos);
  EXPECT_NE(bad({"-x"}).find("unknown flag -x\n  fix: tcptrail --help"), std::string::npos);
}

TEST(OptionsError, MistypedCommandSuggestsTheRightOne) {
  EXPECT_EQ(bad({"trcae"}), "tcptrail: error: unknown command trcae\n  fix: did you mean trace?\n");
  EXPECT_NE(bad({"curl"}).find("tcptrail -- curl"), std::string::npos);
}

TEST(OptionsError, SecondWordIsNotTakenForAValue) {
  EXPECT_NE(bad({"life", "curl", "example.org"}).find("unexpected argument curl"),
            std::string::npos);
}

TEST(OptionsError, AGuessThatIsNearGetsTheRightCommandLine) {
  EXPECT_NE(bad({"life", "443"}).find("did you mean -L 443?"), std::string::npos);
  EXPECT_NE(bad({"trace", "curl", "example.org"}).find("tcptrail trace -- curl example.org"),
            std::string::npos);
  EXPECT_NE(bad({"curl", "example.org"}).find("tcptrail -- curl example.org"), std::string::npos);
  EXPECT_NE(bad({"--how", "rst"}).find("did you mean rst-sent or rst-received?"),
            std::string::npos);
  EXPECT_NE(bad({"--color", "auto,never"}).find("auto,never is not one of"), std::string::npos);
}

TEST(OptionsError, AFlagOfAnotherCommandIsRefused) {
  EXPECT_EQ(bad({"schema", "--json"}),
            "tcptrail: error: --json is not a flag of schema\n"
            "  fix: tcptrail schema --help lists its flags\n");
  EXPECT_NE(bad({"doctor", "-L", "80"}).find("--lport is not a flag of doctor"), std::string::npos);
  EXPECT_NE(bad({"ports", "--errors"}).find("not how connections ended"), std::string::npos);
  EXPECT_NE(bad({"ports", "--for", "2s"}).find("fix: tcptrail ports --watch --for 2s"),
            std::string::npos);
  EXPECT_EQ(good({"ports", "--watch", "--for", "2s"}).run_for_ns, 2'000'000'000U);
  EXPECT_EQ(good({"doctor", "--deny-feature", "tp_btf", "--no-snapshot", "-v"}).verbose, 1U);
}

TEST(Options, NIsTakenAsInSs) { EXPECT_EQ(good({"-n", "-L", "80"}).command, Command::kLife); }

TEST(OptionsError, AWordLikeAFlagIsNoValueUnlessJoined) {
  EXPECT_EQ(good({"--comm=-x"}).filters.comm_glob, "-x");
  EXPECT_NE(bad({"--comm", "-T"}).find("--comm needs a value"), std::string::npos);
  EXPECT_NE(bad({"--min-ms", "-1"}).find("bad value for --min-ms: -1"), std::string::npos);
  EXPECT_NE(bad({"-Tx"}).find("unknown flag -x"), std::string::npos);
}

TEST(OptionsError, MissingValueNamesTheFlag) {
  EXPECT_EQ(bad({"--for"}), "tcptrail: error: --for needs a value\n  fix: --for 10s\n");
  EXPECT_EQ(bad({"-L"}), "tcptrail: error: --lport needs a value\n  fix: --lport 80,443\n");
  EXPECT_NE(bad({"-p", "-4"}).find("--pid"), std::string::npos);
}

TEST(OptionsError, ValueForAFlagWithoutOneIsRefused) {
  EXPECT_EQ(bad({"--json=pretty"}),
            "tcptrail: error: --json takes no value\n  fix: --json alone\n");
  EXPECT_NE(bad({"-T=1"}).find("-T takes no value"), std::string::npos);
}

TEST(OptionsError, BadValuesNameFlagValueAndExample) {
  EXPECT_EQ(bad({"-L", "80,http"}),
            "tcptrail: error: bad value for --lport: 80,http\n  why: http is not a port or a range "
            "of ports\n"
            "  fix: ports and ranges of 1 to 65535, for example 80,443,8000-8099\n");
  EXPECT_NE(bad({"--how", "rst"}).find("fin rst-sent"), std::string::npos);
  EXPECT_NE(bad({"--closed-by", "locl"}).find("did you mean local?"), std::string::npos);
  EXPECT_NE(bad({"--deny-feature", "tp_bft"}).find("did you mean tp_btf?"), std::string::npos);
  EXPECT_NE(bad({"--color", "sometimes"}).find("auto always never"), std::string::npos);
  EXPECT_NE(bad({"--events", "connections"}).find("did you mean connection?"), std::string::npos);
}

TEST(OptionsError, FormatsExcludeEachOther) {
  EXPECT_NE(bad({"--json", "-s"}).find("--json and --csv"), std::string::npos);
  EXPECT_NE(bad({"--json", "--columns", "PID"}).find("JSON Lines always carry every key"),
            std::string::npos);
  EXPECT_NE(bad({"-s", "--events", "all"}).find("one header line"), std::string::npos);
}

TEST(OptionsError, CommandToRunIsChecked) {
  EXPECT_NE(bad({"life", "--"}).find("nothing follows --"), std::string::npos);
  EXPECT_NE(bad({"doctor", "--", "true"}).find("doctor runs no command"), std::string::npos);
}

std::string text_of(std::vector<const char*> words) {
  Result<CommandLine> line = parse(std::move(words));
  return line.ok() ? line->text : "";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Help, ShortHelpFitsAScreen) {
  const std::string text = text_of({"-h"});
  EXPECT_LE(lines_of(text).size(), 23U);  // and a prompt
  EXPECT_EQ(text, short_help());
  for (const char* word : {"life", "trace", "doctor", "schema", "--json", "-L PORTS", "--help"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word;
  }
}

TEST(Help, FullHelpNamesEveryFlag) {
  const std::string text = text_of({"--help"});
  for (const std::string& flag : test::flag_names())
    EXPECT_NE(text.find(flag), std::string::npos) << flag;
}

TEST(Help, NoLineIsWiderThanEightyColumns) {
  std::vector<std::string> texts = {short_help(), full_help()};
  for (const CommandInfo& info : command_table()) texts.push_back(command_help(info.command));
  for (const std::string& text : texts)
    for (const std::string& line : lines_of(text)) EXPECT_LE(line.size(), 80U) << line;
}

TEST(Help, ACommandHasItsFlagsAndTwoExamples) {
  const std::string ports = command_help(Command::kPorts);
  EXPECT_TRUE(ports.starts_with("Usage: tcptrail ports [FLAGS]\n")) << ports;
  EXPECT_NE(ports.find("  --bind ADDR:PORT"), std::string::npos) << ports;
  EXPECT_NE(ports.find("  --for DURATION"), std::string::npos) << "of ports --watch";
  EXPECT_EQ(ports.find("--diagram"), std::string::npos) << ports;
  EXPECT_EQ(ports.find("--csv"), std::string::npos) << ports;
  EXPECT_EQ(command_help(Command::kSchema).find("--json\n"), std::string::npos);
  for (const CommandInfo& info : command_table())
    for (const std::string_view example : info.examples)
      EXPECT_NE(command_help(info.command).find(example), std::string::npos) << example;
}

// What the help promises: every example that is a command line of ours parses.
TEST(Help, ExamplesAreGoodCommandLines) {
  for (const CommandInfo& info : command_table())
    for (const std::string_view example : info.examples) {
      std::istringstream in{std::string(example)};
      std::vector<std::string> words;
      for (std::string word; in >> word && word != ">" && word != "|";) words.push_back(word);
      if (words.front() != "tcptrail") continue;
      std::vector<const char*> argv;
      for (const std::string& word : std::span(words).subspan(1)) argv.push_back(word.c_str());
      EXPECT_EQ(good(argv).command,
                info.name == "explain" && words.size() == 4 && words[2] == "--errors"
                    ? Command::kReplay
                    : info.command)
          << example;
    }
}

TEST(Help, IsShownWhateverElseIsWrong) {
  EXPECT_EQ(text_of({"--nonsense", "-h"}), short_help());
  EXPECT_EQ(text_of({"trace", "--help"}), command_help(Command::kTrace));
  EXPECT_EQ(text_of({"trace", "-h"}), command_help(Command::kTrace));
  EXPECT_EQ(text_of({"-p", "x", "ports", "--help"}), command_help(Command::kPorts));
  EXPECT_EQ(text_of({"help"}), full_help());
  EXPECT_EQ(text_of({"help", "ports"}), command_help(Command::kPorts));
  EXPECT_NE(bad({"help", "prots"}).find("did you mean ports?"), std::string::npos);
  EXPECT_TRUE(text_of({"--version"}).starts_with("tcptrail "));
  EXPECT_EQ(text_of({"-V"}), text_of({"--version"}));
  EXPECT_EQ(text_of({"--", "ls", "--help"}), "");
}

TEST(Color, NoColorAndDumbTerminalsAreRespected) {
  EXPECT_TRUE(use_color(ColorMode::kAuto, true, nullptr, "xterm"));
  EXPECT_TRUE(use_color(ColorMode::kAuto, true, "", "xterm"));
  EXPECT_FALSE(use_color(ColorMode::kAuto, true, "1", "xterm"));
  EXPECT_FALSE(use_color(ColorMode::kAuto, true, nullptr, "dumb"));
  EXPECT_FALSE(use_color(ColorMode::kAuto, true, nullptr, nullptr));
  EXPECT_FALSE(use_color(ColorMode::kAuto, false, nullptr, "xterm"));
  EXPECT_TRUE(use_color(ColorMode::kAlways, false, "1", nullptr));
  EXPECT_FALSE(use_color(ColorMode::kNever, true, nullptr, "xterm"));
}

TEST(Options, PortsPrintsItsOwnRecordsAndTimeWait) {
  const Options o = good({"ports", "--json", "-L", "80"});
  EXPECT_EQ(o.command, Command::kPorts);
  EXPECT_EQ(o.events, (EventSet{.time_wait = true}));
  EXPECT_FALSE(o.bind || o.connect || o.from || o.v6only);
  EXPECT_EQ(good({"ports", "--events", "blocked"}).events, (EventSet{.blocked = true}));
}

TEST(Options, WatchRefreshesEverySecondUnlessItSaysOtherwise) {
  EXPECT_FALSE(good({"ports"}).watch_ns);
  EXPECT_EQ(good({"ports", "--watch"}).watch_ns, 1'000'000'000U);
  EXPECT_EQ(good({"ports", "--watch", "--json"}).watch_ns, 1'000'000'000U);
  EXPECT_EQ(good({"ports", "--watch", "500ms", "--json"}).watch_ns, 500'000'000U);
  EXPECT_NE(bad({"ports", "--watch", "soon"}).find("not a duration"), std::string::npos);
  EXPECT_NE(bad({"--watch"}).find("flag of ports"), std::string::npos);
}

TEST(Options, PortsTakesOneQuestion) {
  const Options bind = good({"ports", "--bind", "[::]:80", "--v6only", "--uid", "1000"});
  EXPECT_EQ(bind.bind->port, 80);
  EXPECT_TRUE(bind.v6only);
  const Options connect = good({"ports", "--connect", "127.0.0.1:443", "--from", "127.0.0.2"});
  EXPECT_EQ(connect.connect->port, 443);
  EXPECT_TRUE(connect.from);
}

TEST(Options, ExplainReadsEveryRecordAndMayNameARecording) {
  const Options o = good({"explain", "--json", "-L", "80", "-T"});
  EXPECT_EQ(o.command, Command::kExplain);
  EXPECT_EQ(o.events, (EventSet{true, true, true, true}));
  EXPECT_TRUE(o.replay_file.empty());
  const Options file = good({"explain", "-L", "80", "run.tct"});
  EXPECT_EQ(file.replay_file, "run.tct");
  EXPECT_EQ(view_of(file), Command::kExplain);
  EXPECT_EQ(good({"explain", "--", "curl", "x"}).child, (Strings{"curl", "x"}));
}

TEST(Options, WhatExplainCannotDoIsRefused) {
  EXPECT_NE(bad({"explain", "-s"}).find("explain has no CSV"), std::string::npos);
  EXPECT_NE(bad({"explain", "--columns", "PID"}).find("explain has no columns"), std::string::npos);
  EXPECT_NE(bad({"explain", "--events", "all"}).find("reads the records that it needs"),
            std::string::npos);
  EXPECT_NE(bad({"explain", "a", "b"}).find("unexpected argument b"), std::string::npos);
  EXPECT_NE(bad({"explain", "a", "--", "true"}).find("has happened already"), std::string::npos);
  EXPECT_NE(bad({"explain", "--jsno"}).find("did you mean --json?"), std::string::npos);
}

TEST(Options, StatsTakesAnIntervalOrADiagram) {
  const Options o = good({"stats", "--interval", "60", "--json", "-L", "443"});
  EXPECT_EQ(o.command, Command::kStats);
  EXPECT_EQ(o.interval_ns, 60'000'000'000U);
  EXPECT_EQ(o.diagram, Diagram::kNone);
  EXPECT_EQ(o.events, (EventSet{.connection = true, .time_wait = true, .blocked = true}));
  EXPECT_EQ(good({"stats"}).interval_ns, 0U);
  EXPECT_EQ(good({"stats", "--interval", "2m"}).interval_ns, 120'000'000'000U);
}

TEST(Options, DiagramAloneIsText) {
  EXPECT_EQ(good({"stats", "--diagram"}).diagram, Diagram::kText);
  EXPECT_EQ(good({"stats", "--diagram", "-4"}).diagram, Diagram::kText);
  EXPECT_EQ(good({"stats", "--diagram", "text"}).diagram, Diagram::kText);
  EXPECT_EQ(good({"stats", "--diagram", "dot"}).diagram, Diagram::kDot);
  EXPECT_EQ(good({"stats", "--diagram=dot"}).diagram, Diagram::kDot);
  const Options before = good({"--diagram", "stats"});
  EXPECT_EQ(before.command, Command::kStats);
  EXPECT_EQ(before.diagram, Diagram::kText);
  EXPECT_EQ(good({"stats", "--diagram", "--", "dot"}).child, Strings{"dot"});
}

TEST(Options, WhatStatsCannotDoIsRefused) {
  EXPECT_NE(bad({"--interval", "60"}).find("belong to stats"), std::string::npos);
  EXPECT_NE(bad({"explain", "--diagram"}).find("belong to stats"), std::string::npos);
  EXPECT_EQ(bad({"stats", "--interval", "100ms"}),
            "tcptrail: error: bad value for --interval: 100ms\n  why: records arrive up to half a "
            "second after their event\n"
            "  fix: 1 second or more, for example --interval 60\n");
  EXPECT_NE(bad({"stats", "--interval", "often"}).find("--interval"), std::string::npos);
  EXPECT_NE(bad({"stats", "--interval"}).find("--interval needs a value"), std::string::npos);
  EXPECT_NE(bad({"stats", "--diagram=png"}).find("text dot"), std::string::npos);
  EXPECT_NE(bad({"stats", "--diagram", "--json"}).find("the diagram is a picture"),
            std::string::npos);
  EXPECT_NE(bad({"stats", "--diagram", "--interval", "60"}).find("counts the whole run"),
            std::string::npos);
  EXPECT_NE(bad({"stats", "--count", "5"}).find("use --for"), std::string::npos);
  EXPECT_NE(bad({"stats", "-s"}).find("stats has no CSV"), std::string::npos);
  EXPECT_NE(bad({"stats", "--columns", "PID"}).find("stats has no columns"), std::string::npos);
  EXPECT_NE(bad({"stats", "--events", "all"}).find("stats with --events"), std::string::npos);
  EXPECT_NE(bad({"stats", "FILE"}).find("unexpected argument FILE"), std::string::npos);
}

TEST(Options, WhatPortsCannotDoIsRefused) {
  EXPECT_NE(bad({"--bind", ":80"}).find("questions to ports"), std::string::npos);
  EXPECT_NE(bad({"trace", "--v6only"}).find("questions to ports"), std::string::npos);
  EXPECT_NE(bad({"ports", "--bind", ":80", "--connect", ":80"}).find("together"),
            std::string::npos);
  EXPECT_NE(bad({"ports", "--v6only"}).find("--v6only without --bind"), std::string::npos);
  EXPECT_NE(bad({"ports", "--from", "127.0.0.1"}).find("--from without --connect"),
            std::string::npos);
  EXPECT_NE(bad({"ports", "--csv"}).find("ports has no CSV"), std::string::npos);
  EXPECT_NE(bad({"ports", "--columns", "PID"}).find("no columns"), std::string::npos);
  EXPECT_NE(bad({"ports", "--no-snapshot"}).find("ports is a snapshot"), std::string::npos);
  EXPECT_NE(bad({"ports", "--cgroup", "/a"}).find("no --cgroup"), std::string::npos);
  EXPECT_NE(bad({"ports", "--bind", "127.0.0.1"}).find("is not a port"), std::string::npos);
  EXPECT_NE(bad({"ports", "--", "true"}).find("runs no command"), std::string::npos);
}

}  // namespace
}  // namespace tcptrail
