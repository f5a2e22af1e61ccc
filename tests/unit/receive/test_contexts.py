from dicomqc.core.options import StorageClasses
from dicomqc.receive import contexts

JPEG = "1.2.840.10008.1.2.4.50"


def test_the_senders_order_wins_so_an_offered_jpeg_stays_a_jpeg() -> None:
    offered = ["1.2.3.999", JPEG, contexts.IMPLICIT_LITTLE_ENDIAN]
    assert contexts.first_acceptable(offered, contexts.TRANSFER_SYNTAXES) == JPEG
    assert contexts.first_acceptable(offered[::-1], contexts.TRANSFER_SYNTAXES) == contexts.IMPLICIT_LITTLE_ENDIAN
    assert contexts.first_acceptable(["1.2.3.999"], contexts.TRANSFER_SYNTAXES) is None


def test_angiography_takes_the_ten_classes_of_angiography_only() -> None:
    classes = contexts.storage_classes(StorageClasses.ANGIOGRAPHY)
    assert len(classes) == len(set(classes)) == 10
    assert "1.2.840.10008.5.1.4.1.1.12.3" in classes  # retired, still sent
    assert "1.2.840.10008.5.1.4.1.1.2" not in classes


def test_all_takes_retired_classes_too_and_no_query_and_no_protocol() -> None:
    classes = contexts.storage_classes(StorageClasses.ALL)
    assert set(contexts.ANGIOGRAPHY_CLASSES) < set(classes)
    assert {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.88.11"} < set(classes)
    assert not {"1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.200.1"} & set(classes)
    assert len(classes) == len(set(classes)) > 150
