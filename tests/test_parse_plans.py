"""Plans as models write them: in every list, table and JSON, with talk around them, or not at all."""

from __future__ import annotations

import pytest

from dnc_edge import parse


@pytest.mark.parametrize(
    ("reply", "subquestions"),
    [
        ('I. muffins?\n100. How much is made?', ('muffins?', 'How much is made?')),
        ('1. How many trays are there\n2. How much does Lea earn', ('How many trays are there?', 'How much does Lea earn?')),
        ('Here are the sub-questions. Is this what you wanted?\n1. How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('<think>\nWhat is asked? Should I split?\n</think>\n1. How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? (5 x 12)\n2. How much does Lea earn? → 120', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?<br>2. How much does Lea earn? **(total)**', ('How many trays are there?', 'How much does Lea earn?')),
        ('Step 1: Find the trays.\nStep 2: Find the money?', ('Find the trays.', 'Find the money?')),
        ('１．マフィンはいくつ？\n２．いくら？', ('マフィンはいくつ？', 'いくら？')),
        ('① Wie viele?\n② Warum?', ('Wie viele?', 'Warum?')),
        ('1.1 How many trays are there?\n1.2 How much does Lea earn?\n2.1 Why?', ('How many trays are there?', 'How much does Lea earn?', 'Why?')),
        ('D.J. scored how many points?\nB.B. King sang where?', ('D.J. scored how many points?', 'B.B. King sang where?')),
        ('B. B. King was born when?\nC. S. Lewis wrote what?', ('B. B. King was born when?', 'C. S. Lewis wrote what?')),
        ('A. A. Milne wrote what?\nB. B. King sang what?', ('A. A. Milne wrote what?', 'B. B. King sang what?')),
        ('A. Lincoln was born when?\nB. Franklin was born when?', ('A. Lincoln was born when?', 'B. Franklin was born when?')),
        ('J. Robert Oppenheimer was born where?', ('J. Robert Oppenheimer was born where?',)),
        ('I. M. Pei built what?\nWho built the other?', ('I. M. Pei built what?', 'Who built the other?')),
        ('V. S. Naipaul wrote what?\nX. Y. wrote what?', ('V. S. Naipaul wrote what?', 'X. Y. wrote what?')),
        ('1. D.J. scored how many points?\n2. B.B. King sang where?', ('D.J. scored how many points?', 'B.B. King sang where?')),
        ('A. How many trays are there?\nB. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('i. How many trays are there?\nii. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('(i) How many trays are there?\n(ii) How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('i) How many trays are there?\nii) How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('(a) How many trays are there?\n(b) How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Step 1: How many trays are there?\nStep 2: How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Step 1 - How many trays are there?\nStep 2 - How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('**Step 1**: How many trays are there?\n**Step 2**: How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Sub-question 1 - How many trays are there?\nSub-question 2 - How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Sub-question 1 How many trays are there?\nSub-question 2 How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Subquestion #1: How many trays are there?\nSubquestion #2: How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('[1] How many trays are there?\n[2] How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1] How many trays are there?\n2] How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Q1. How many trays are there?\nQ2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Question 1: How many trays are there?\nQuestion 2: How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1 - How many trays are there?\n2 - How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1 – How many trays are there?\n2 – How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1- How many trays are there?\n2- How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1 How many trays are there?\n2 How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1.How many trays are there?\n2.How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1⃣ How many trays are there?\n2️⃣ How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('+ How many trays are there?\n+ How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('• How many trays are there?\n• How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('- [ ] How many trays are there?\n- [x] How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('> 1. How many trays are there?\n> 2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('### 1. How many trays are there?\n### 2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('## Plan\n\n1. How many trays are there?\n2. How much does Lea earn?\n\n## Notes\nThese lead to the answer.', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. **Trays:** How many trays are there?\n2. **Money:** How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. **Trays**: How many trays are there?\n2. **Money** - How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. **Trays**\n   - How many trays are there?\n2. **Money**\n   - How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. Trays\nHow many trays are there?\n2. Money\nHow much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?\n   - There are 4 trays.\n2. How much does Lea earn?\n   - It is 2 dollars each.', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? - 4\n2. How much does Lea earn? - $80', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? 4\n2. How much does Lea earn? 80 dollars', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? Answer: 4\n2. How much does Lea earn? Answer: 80', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? **Answer:** 4\n2. How much does Lea earn? **Answer:** 80', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there? (Answer: 4)\n2. How much does Lea earn? (Answer: 80)', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?\n4 trays\n2. How much does Lea earn?\n80 dollars', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. Who wrote Emma? - Jane Austen\n2. When was #1 born? - 1775', ('Who wrote Emma?', 'When was #1 born?')),
        ('Who wrote Emma? - Jane Austen\nWhen was #1 born? -> 1775', ('Who wrote Emma?', 'When was #1 born?')),
        ('Q: How many trays are there?\nA: 4\nQ: How much does Lea earn?\nA: 80', ('How many trays are there?', 'How much does Lea earn?')),
        ('Q1: How many trays are there?\nA1: 4\nQ2: How much does Lea earn?\nA2: 80', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?\n2. How much does Lea earn?\n\nAnswers:\n1. 4\n2. 80 dollars', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?\n2. How much does Lea earn?\n\nLet me know if you need more help!', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. How many trays are there?\n2. How much does Lea earn?\n\nWould you like me to solve them?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\nHow much does Lea earn?\n\nWould you like me to solve them?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\nHow much does Lea earn?\nDo you want me to go on?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\nHow much does Lea earn?\nIs there anything else I can help with?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\nHow much does Lea earn?\nShall I answer them?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\nHow much does Lea earn?\nDoes this help?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Sure! What do we need?\n1. How many trays are there?\n2. How much does Lea earn?\nThe final answer depends on both.', ('How many trays are there?', 'How much does Lea earn?')),
        ('Main question: How rich is Lea?\nSub-questions:\n1. How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Question: How rich is Lea?\n1. How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('Sub-questions: 1. How many trays are there? 2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1) How many trays are there? 2) How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('(1) How many trays are there? (2) How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1. Find the trays. 2. Find the money.', ('Find the trays.', 'Find the money.')),
        ('1. Find the trays\n2. How much does Lea earn?', ('Find the trays', 'How much does Lea earn?')),
        ('1. How many trays are there?\n2. What is the', ('How many trays are there?',)),
        ('| Sub-question | Answer |\n| --- | --- |\n| How many trays are there? | 4 |\n| How much does Lea earn? | 80 |', ('How many trays are there?', 'How much does Lea earn?')),
        ('Here is the plan:\n\n| Step | Sub-question | Why |\n|:--|:-:|--:|\n| 1 | How many trays are there? | to count |\n| 2 | How much does Lea earn? | to know |\n\nDone.', ('How many trays are there?', 'How much does Lea earn?')),
        ('# | Sub-question\n--|--\n1 | How many trays are there?\n2 | How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('| How many trays are there? |\n| How much does Lea earn? |', ('How many trays are there?', 'How much does Lea earn?')),
        ('| 1. How many trays are there? |\n|---|\n| 2. How much does Lea earn? |', ('How many trays are there?', 'How much does Lea earn?')),
        ('["How many trays are there?", "How much does Lea earn?",]', ('How many trays are there?', 'How much does Lea earn?')),
        ("['How many trays are there?', 'How much does Lea earn?']", ('How many trays are there?', 'How much does Lea earn?')),
        ('[\'Who is Lea\\\'s boss?\', "How much does Lea earn?"]', ("Who is Lea's boss?", 'How much does Lea earn?')),
        ('Here it is:\n[\n"How many trays are there?",\n"How much does Lea earn?"\n]\nLet me know!', ('How many trays are there?', 'How much does Lea earn?')),
        ('```json\n[{"step": 1, "sub_question": "How many trays are there?", "answer": "4"}, {"step": 2, "sub_question": "How much does Lea earn?"}]\n```', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"question": "How rich?", "sub_questions": ["How many trays are there?", "How much does Lea earn?"]}', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"1": "How many trays are there?", "2": "How much does Lea earn?"}', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"q1": "How many trays are there?", "q2": "How much does Lea earn?"}', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"sub-question 1": "How many trays are there?", "sub-question 2": "How much does Lea earn?"}', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"plan": {"steps": [{"question": "How many trays are there?"}, {"question": "How much does Lea earn?"}]}}', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"question": "How many trays are there?"}\n{"question": "How much does Lea earn?"}', ('How many trays are there?', 'How much does Lea earn?')),
        ('[["How many trays are there?"], ["How much does Lea earn?"]]', ('How many trays are there?', 'How much does Lea earn?')),
        ('["1. How many trays are there?", "2. How much does Lea earn?"]', ('How many trays are there?', 'How much does Lea earn?')),
        ('{"subquestions": ["How many trays are there?", "How much does Lea earn?"', ('How many trays are there?', 'How much does Lea earn?')),
        ('["How many trays are there?", "How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('subquestions:\n  - How many trays are there?\n  - "How much does Lea earn?"', ('How many trays are there?', 'How much does Lea earn?')),
        ('<ol><li>How many trays are there?</li><li>How much does Lea earn?</li></ol>', ('How many trays are there?', 'How much does Lea earn?')),
        ('<subquestion>How many trays are there?</subquestion>\n<subquestion>How much does Lea earn?</subquestion>', ('How many trays are there?', 'How much does Lea earn?')),
        ('What about it?</think>\n1. How many trays are there?\n2. How much does Lea earn?', ('How many trays are there?', 'How much does Lea earn?')),
        ('1。几个托盘？\n2。多少钱？', ('几个托盘？', '多少钱？')),
        ('1、几个托盘？2、多少钱？', ('几个托盘？', '多少钱？')),
        ('一、几个托盘？\n二、多少钱？', ('几个托盘？', '多少钱？')),
        ('问题1：几个托盘？\n问题2：多少钱？', ('几个托盘？', '多少钱？')),
        ('第一步：几个托盘？\n第二步：多少钱？', ('几个托盘？', '多少钱？')),
        ('（1）几个托盘？\n（2）多少钱？', ('几个托盘？', '多少钱？')),
        ('١. كم عدد الصواني؟\n٢. كم المال؟', ('كم عدد الصواني؟', 'كم المال؟')),
        ('1- كم عدد الصواني؟\n2- كم المال؟', ('كم عدد الصواني؟', 'كم المال؟')),
        ('Teilfrage 1: Wie viele?\nTeilfrage 2: Wie viel?', ('Wie viele?', 'Wie viel?')),
        ('Pregunta 1: ¿Cuántos?\nPregunta 2: ¿Cuánto?', ('¿Cuántos?', '¿Cuánto?')),
        ('1 apple costs how much?\n2 apples cost how much?', ('1 apple costs how much?', '2 apples cost how much?')),
        ('1-bedroom flats cost how much?\n2-bedroom flats cost how much?', ('1-bedroom flats cost how much?', '2-bedroom flats cost how much?')),
        ('Part 2 of the film came out when?\nPart 3 of the film came out when?', ('Part 2 of the film came out when?', 'Part 3 of the film came out when?')),
        ('#1 plus #2 is what?', ('#1 plus #2 is what?',)),
        ('Apollo 1: what happened?\nApollo 2: what happened?', ('Apollo 1: what happened?', 'Apollo 2: what happened?')),
        ('"Hamlet" was written by whom?\nWho wrote "Emma"?', ('"Hamlet" was written by whom?', 'Who wrote "Emma"?')),
        ('2:30 is how many minutes?\n3 : 4 is what?', ('2:30 is how many minutes?', '3 : 4 is what?')),
        ('Is that more than 5?\nIs this river longer?', ('Is that more than 5?', 'Is this river longer?')),
        ('Can the Dead Sea be swum in?\nHow old am I?', ('Can the Dead Sea be swum in?', 'How old am I?')),
        ('How many (in total)?\nWhat is it (roughly)?', ('How many (in total)?', 'What is it (roughly)?')),
    ],
)  # fmt: skip
def test_the_plan_of_a_reply(reply: str, subquestions: tuple[str, ...]) -> None:
    plan = parse.plan(reply, cap=10)
    assert plan.subquestions == subquestions
    assert plan.found


@pytest.mark.parametrize(
    "reply",
    [
        '{"subquestions": []}',
        "[]",
        "No sub-questions are needed.",
        "No decomposition is required: the question is simple.",
        "N/A",
        "None needed.",
        "The question does not need decomposition.",
        "1. No decomposition needed",
        "This is a single fact; sub-questions are not necessary.",
        "No decomposition.\nWhat is 17 times 23?",
    ],
)
def test_a_reply_may_say_that_no_sub_questions_are_needed(reply: str) -> None:
    assert parse.plan(reply) == parse.ParsedPlan((), 0, found=True)


@pytest.mark.parametrize(
    "reply",
    [
        "<think>Do I need it?\n1. no\n1. How many trays are there?",
        "Je ne peux pas.",
        "The answer is 72.",
        "Mia bakes 60 muffins and makes 120 dollars.",
        "1. 5 x 12 = 60 muffins\n2. 60 x 2 = $120\nThe answer is: 120",
        "First, find the muffins. Then the money.",
        "Sure, I can help.",
        "42",
        "None of these questions can be answered.",
    ],
)
def test_prose_without_a_plan_is_not_taken_for_one_that_needs_none(reply: str) -> None:
    assert not parse.plan(reply).found
    assert parse.plan(reply).subquestions == ()


@pytest.mark.parametrize(
    ("reply", "repaired"),
    [
        ("1. How many?\n2. Why?", 0),
        ("Sure!\n1. How many?\n2. Why?\nI hope this helps.", 2),
        ("1. How many? -> 60\n2. Why?", 1),
        ("How many?\nHow many?", 1),
        ('Sure!\n["How many?", "Why?", "Why?"]', 2),
    ],
)
def test_what_was_left_out_or_mended_is_counted(reply: str, repaired: int) -> None:
    assert parse.plan(reply).repaired == repaired
