// SPDX-License-Identifier: BSD-2-Clause
#include "cli/completion.h"

#include <fmt/format.h>

#include <map>
#include <sstream>
#include <vector>

#include "cli/help.h"
#include "cli/options.h"

namespace tcptrail {
namespace {

// Where --help describes a flag.
constexpr std::size_t kHelpColumn = 29;

struct Word {
  std::vector<std::string> names;
  bool takes_value = false;
  std::string help;     // one line of --help
  std::string choices;  // separated by spaces; empty = free text
  bool is_path = false;
};

// "  -p, --pid PID[,PID]        owner of the socket" → {"-p", "--pid"}: "owner of the socket".
std::map<std::string, std::string> help_by_flag() {
  std::map<std::string, std::string> found;
  std::istringstream lines(full_help());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find('-');
    if (dash == std::string::npos || line.find_first_not_of(' ') != dash) continue;
    std::size_t gap = line.find("  ", dash);
    if (gap == std::string::npos && line.size() > kHelpColumn && line[kHelpColumn - 1] == ' ')
      gap = kHelpColumn - 1;
    if (gap == std::string::npos) continue;
    const std::string help = line.substr(line.find_first_not_of(' ', gap));
    std::istringstream words(line.substr(dash, gap - dash));
    for (std::string word; words >> word;) {
      if (word.back() == ',') word.pop_back();
      if (word.starts_with('-')) found.try_emplace(word, help);
    }
  }
  return found;
}

std::string choices_of(const std::string& flag, std::span<const std::string_view> features) {
  if (flag == "--closed-by") return fmt::format("{}", fmt::join(closer_words(), " "));
  if (flag == "--how") return fmt::format("{}", fmt::join(how_words(), " "));
  if (flag == "--events") return fmt::format("{}", fmt::join(event_words(), " "));
  if (flag == "--color") return "auto always never";
  if (flag == "--deny-feature") return fmt::format("{}", fmt::join(features, " "));
  return {};
}

std::vector<Word> words(std::span<const std::string_view> features) {
  const std::map<std::string, std::string> help = help_by_flag();
  std::vector<Word> all;
  for (const FlagInfo& flag : flag_table()) {
    Word word;
    word.names = flag.names;
    word.takes_value = flag.takes_value;
    for (const std::string& name : flag.names) {
      if (const auto found = help.find(name); found != help.end() && word.help.empty())
        word.help = found->second;
      if (word.choices.empty()) word.choices = choices_of(name, features);
      word.is_path |=
          name == "--output" || name == "--cgroup" || name == "--record" || name == "--netns";
    }
    all.push_back(std::move(word));
  }
  return all;
}

std::string bash_script(const std::vector<Word>& all) {
  std::string values;
  std::string flags;
  for (const Word& word : all) {
    for (const std::string& name : word.names) flags += name + ' ';
    if (!word.takes_value) continue;
    std::string action = "return";
    if (!word.choices.empty())
      action = fmt::format(R"(COMPREPLY=($(compgen -W "{}" -- "$current")); return)", word.choices);
    if (word.is_path) action = R"(COMPREPLY=($(compgen -f -- "$current")); return)";
    values += fmt::format("    {}) {} ;;\n", fmt::join(word.names, "|"), action);
  }
  return fmt::format(
      R"(# bash completion for tcptrail: source it, or put it into bash-completion's completions/
_tcptrail() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  COMPREPLY=()
  case $previous in
{}    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")); return ;;
    replay|explain) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "{}" -- "$current"))
  else
    COMPREPLY=($(compgen -W "{}" -- "$current"))
  fi
}}
complete -o filenames -F _tcptrail tcptrail
)",
      values, flags, fmt::join(command_names(), " "));
}

// In single quotes, and without what _arguments reads as its own.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  return out;
}

std::string zsh_script(const std::vector<Word>& all) {
  std::string specs;
  for (const Word& word : all)
    for (const std::string& name : word.names) {
      std::string value;
      if (word.takes_value)
        value = word.is_path           ? ":path:_files"
                : word.choices.empty() ? ":value: "
                                       : fmt::format(":value:({})", word.choices);
      specs += fmt::format("    '*{}[{}]{}' \\\n", name, zsh_text(word.help), value);
    }
  return fmt::format(R"(#compdef tcptrail
# zsh completion for tcptrail: put it as _tcptrail into a directory of $fpath
_tcptrail() {{
  _arguments -s \
{}    '1:command:({})' \
    '*::argument:_files'
}}
_tcptrail "$@"
)",
                     specs, fmt::join(command_names(), " "));
}

std::string fish_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string fish_script(const std::vector<Word>& all) {
  std::string out =
      "# fish completion for tcptrail: put it as tcptrail.fish into ~/.config/fish/completions/\n";
  out += "complete -c tcptrail -f\n";
  out += fmt::format("complete -c tcptrail -n __fish_use_subcommand -a '{}'\n",
                     fmt::join(command_names(), " "));
  out += "complete -c tcptrail -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
  out += "complete -c tcptrail -n '__fish_seen_subcommand_from replay explain' -F\n";
  for (const Word& word : all) {
    out += "complete -c tcptrail";
    for (const std::string& name : word.names)
      out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (word.takes_value) out += word.is_path ? " -r -F" : " -x";
    if (!word.choices.empty()) out += fmt::format(" -a '{}'", word.choices);
    out += fmt::format(" -d '{}'\n", fish_text(word.help));
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell,
                                      std::span<const std::string_view> features) {
  const std::vector<Word> all = words(features);
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return zsh_script(all);
  if (shell == "fish") return fish_script(all);
  return Error{
      shell.empty() ? "completion for which shell?" : "no completion for " + std::string(shell),
      "bash, zsh and fish are known", "tcptrail completion bash", 2};
}

}  // namespace tcptrail
