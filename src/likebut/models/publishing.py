"""Upload of trained models to the Hugging Face hub."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from likebut.errors import InputError, LikebutError
from likebut.files import read_json, write_text
from likebut.models.hub import hub_failures
from likebut.models.model_folder import CONFIG_NAME, with_parts_beside

_CARD_NAME = "README.md"
_CARD = """---
library_name: likebut
tags:
- composed-image-retrieval
---

# {repo_id}

A composed image retrieval model ({job}) trained with [likebut](https://pypi.org/project/likebut/).

```python
from likebut import {class_name}

model = {class_name}.from_pretrained("{repo_id}")
```
"""


def push_to_hub(
    save: Callable[[Path], None],
    repo_id: str,
    class_name: str,
    private: bool = False,
    token: str | None = None,
    commit_message: str = "Upload model",
) -> str:
    """Save a model to a temporary folder and upload it; ``from_pretrained(repo_id)`` then loads it anywhere.

    The repository is created if it does not exist. A model card that is there already is left unchanged.

    Args:
        save: Writes the model folder.
        repo_id: "owner/name".
        class_name: The public class that loads the model, for the model card.
        private: Whether a new repository is private.
        token: Access token; the one stored by ``hf auth login`` if None.
        commit_message: Of the upload.

    Returns:
        The URL of the commit.

    Raises:
        InputError: The model needs parts that are stored on this machine alone.
        LikebutError: The upload failed.
    """
    from huggingface_hub import HfApi

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save(folder)
        config = read_json(folder / CONFIG_NAME)
        _, local_parts = with_parts_beside(config, folder)
        if local_parts:
            raise InputError(
                f"The model needs parts that are stored on this machine alone: {', '.join(map(str, local_parts))}.",
                "Use a preset whose parts are on the hub, or publish the folder that `likebut models export` writes.",
                "local-parts",
            )
        api = HfApi(token=token)
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            if not api.file_exists(repo_id, _CARD_NAME):
                card = _CARD.format(repo_id=repo_id, job=config.get("job", ""), class_name=class_name)
                write_text(folder / _CARD_NAME, card)
            commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)
        except hub_failures() as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise LikebutError(
                f"{repo_id} could not be uploaded to the Hugging Face hub ({reason}).",
                "Check the id and the network, and sign in with `hf auth login`.",
                "hub-upload-failed",
            ) from None
    return str(commit.commit_url)
