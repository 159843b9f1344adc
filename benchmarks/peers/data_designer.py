"""Data Designer: one column of text, its adaptive concurrency as it comes.

Settings and why: it has no limits per minute to be told; it lowers its calls in flight after a 429 and raises them
again, below `max_parallel_requests`. No early shutdown, so that no example is given up because of 429s.
"""

# What it drives is installed in another environment, where there is one.
# mypy: disable-error-code="import-not-found,import-untyped,misc"

from __future__ import annotations

import data_designer.config as dd
import pandas as pd
from data_designer.interface import DataDesigner

from benchmarks.peers.common import done, prompt, read_task


def _main() -> None:
    task = read_task()
    parameters = dd.ChatCompletionInferenceParams(max_tokens=task.max_tokens, max_parallel_requests=task.in_flight)
    model = dd.ModelConfig(
        alias="writer",
        model=task.model,
        provider="bench",
        inference_parameters=parameters,
        # It would be a call more.
        skip_health_check=True,
    )
    provider = dd.ModelProvider(name="bench", endpoint=task.base_url, api_key="OPENAI_API_KEY")
    designer = DataDesigner(artifact_path=f"{task.folder}/data-designer", model_providers=[provider])
    # Rows in one group, so that no group waits for the last calls of the one before.
    designer.set_run_config(
        dd.RunConfig(disable_early_shutdown=True, buffer_size=task.examples, otel_metrics_port=None)
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    rows = pd.DataFrame({"asked": [prompt(number) for number in range(task.examples)]})
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=rows))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="writer", prompt="{{ asked }}"))
    made = designer.create(builder, num_records=task.examples, dataset_name="bench").load_dataset()
    done(int(made["answer"].astype(bool).sum()), f"max_parallel_requests {task.in_flight}, adaptive below it")


if __name__ == "__main__":
    _main()
