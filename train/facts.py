"""What a checkpoint must carry so that what runs is what was trained: roles, templates, probes, chat template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnc_edge import prompts
from dnc_edge.students.facts import About, Probe, Role, StudentFacts, write
from dnc_edge.train.examples import TEMPLATES, Encoder

MAX_TOKENS = {"decompose": 320, "solve": 512}

# Questions of our own; their token ids prove at load that the tokenizer is the one of training.
PROBES = (
    ("decompose", "Mia packs 6 boxes of 12 pens and gives away 15. How many pens are left?"),
    ("decompose", "Café Olé sold 1,250 cups at $3.50 each — was that more than #1? <|plan|> 東京"),
    ("solve", "Ben has 4 bags of 9 nuts.\nHow many nuts is that?\n\nSub-questions:\n1. How many nuts does Ben have?"),
)  # fmt: skip

# Licence and attribution of each file that may train a student.
LICENCES = {
    "gsm8k/train_socratic.jsonl": "MIT, OpenAI (GSM8K with socratic sub-questions)",
    "strategyqa/train.json": "MIT, Geva et al. (StrategyQA)",
    "break/QDMR-high-level/dev.csv": "MIT, Wolfson et al. (Break); passages CC BY-SA 4.0, Dua et al. (DROP)",
    "math_word_problems/mawps/trainset.json": "MIT, Koncel-Kedziorski et al. (MAWPS, in MWPToolkit)",
    "math_word_problems/mawps-single/trainset.json": "MIT, Koncel-Kedziorski et al. (MAWPS, in MWPToolkit)",
    "distilling_step_by_step/svamp/svamp_train.json": "Apache-2.0, Patel et al. (SVAMP, in Distilling step-by-step)",
    "musique/train.jsonl": "CC BY 4.0, Trivedi et al. (MuSiQue)",
    "2wiki/train.jsonl": "Apache-2.0, Ho et al. (2WikiMultihopQA)",
    "train/written": "Apache-2.0, written by a program of this project",
    "train/synthetic.py": "Apache-2.0, written by a program of this project",
}

CARD = {
    "use": (
        "Splitting grade-school word problems, and questions over a passage or of fact, into sub-questions in English; "
        "answering them offline as a stopgap."
    ),
    "limits": (
        "A model of 11 million parameters trained from scratch: it knows no facts, misreads longer questions, and its "
        "answers are wrong more often than right. Plans over passages and of fact are much weaker than those of word "
        "problems. Other languages than English do not work."
    ),
    "biases": "Names, trades and pronouns follow the word problems it learned from, which are mostly American.",
    "over_reliance": "Read a plan before paying for it, and never take the local answer for a fact.",
}


def chat_template(templates: Mapping[str, str] = TEMPLATES) -> str:
    """Return the chat template for servers: the last message in the template of the role that the instruction names."""
    (plan_head, plan_tail), (solve_head, solve_tail) = (
        templates[role].split("{user}") for role in ("decompose", "solve")
    )
    first_word = prompts.decompose("", None, cap=1)[0]["content"].split()[0]
    planning = f"messages[0]['content'].startswith('{first_word}')"
    return (
        f"{{{{ '{plan_head}' if {planning} else '{solve_head}' }}}}{{{{ messages[-1]['content'] }}}}"
        f"{{{{ '{plan_tail}' if {planning} else '{solve_tail}' }}}}"
    )


def write_facts(checkpoint: Path, tokenizer: Any, *, context: int, training: Mapping[str, Any]) -> None:
    """Write train.json, and the tokenizer with its chat template, into the checkpoint of a base trained from scratch.

    Args:
        tokenizer: with the control pieces of `train/tokenizer.py`.
        context: longest sequence, in tokens.
        training: settings, figures and data of the training.
    """
    encoder = Encoder(tokenizer)
    encoder.subword_sampling(0)
    licences = {source: LICENCES[source] for source in training.get("data", {}) if source in LICENCES}
    facts = StudentFacts(
        roles={role: Role(template, prompts.VERSION, MAX_TOKENS[role]) for role, template in TEMPLATES.items()},
        stop=(tokenizer.eos_token,),
        context=context,
        max_subquestions=11,
        probes=tuple(Probe(role, user, tuple(encoder.prompt(role, user))) for role, user in PROBES),
        about=About(training, licences, CARD),
    )
    write(checkpoint, facts)
    tokenizer.backend_tokenizer.encode_special_tokens = False
    tokenizer.chat_template = chat_template()
    tokenizer.save_pretrained(checkpoint)
